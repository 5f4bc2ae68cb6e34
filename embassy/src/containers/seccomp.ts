// The system calls that a container of ours may make. What is not listed fails; so a call that a later kernel
// adds is closed until somebody has thought about it. Packet filters see none of the ways out that this shuts.
//
// Left out with a reason:
//   AF_VSOCK, AF_PACKET, AF_ALG, AF_BLUETOOTH and all other socket families: AF_VSOCK reaches the hypervisor's host
//     past every packet filter; the others are ways to send, or kernel code that nothing here needs
//   io_uring_*: opens sockets (IORING_OP_SOCKET) without a system call that a filter could see
//   ptrace, process_vm_*, pidfd_getfd, kcmp: reach into other processes
//   mount, umount2, pivot_root, move_mount, fsopen, open_tree, unshare, setns, clone with CLONE_NEW*, chroot: new views of
//     the machine, and user namespaces give capabilities back inside them
//   bpf, perf_event_open, userfaultfd, fanotify_init, kexec_*, *_module, keyctl, add_key, request_key: kernel surface
//   name_to_handle_at, open_by_handle_at: open files outside the container's root
//   personality with any execution domain but the plain one: turns protections off
//   syslog, acct, quotactl, reboot, swapon, settimeofday, clock_settime, sethostname: belong to the machine
//   i386 and x32 entry points: their socketcall hides its arguments from the filter

const FILES = [
  ...['open', 'openat', 'openat2', 'creat', 'close', 'close_range', 'read', 'write', 'readv'],
  ...['writev', 'pread64', 'pwrite64', 'preadv', 'pwritev', 'preadv2', 'pwritev2', 'lseek'],
  ...['stat', 'fstat', 'lstat', 'newfstatat', 'statx', 'statfs', 'fstatfs', 'access', 'faccessat'],
  ...['faccessat2', 'getdents', 'getdents64', 'getcwd', 'chdir', 'fchdir', 'mkdir', 'mkdirat'],
  ...[
    'rmdir',
    'unlink',
    'unlinkat',
    'rename',
    'renameat',
    'renameat2',
    'link',
    'linkat',
    'symlink',
  ],
  ...['symlinkat', 'readlink', 'readlinkat', 'chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'chown'],
  ...['fchown', 'lchown', 'fchownat', 'umask', 'truncate', 'ftruncate', 'fallocate', 'fsync'],
  ...['fdatasync', 'sync_file_range', 'syncfs', 'utime', 'utimes', 'utimensat', 'futimesat'],
  ...['flock', 'fcntl', 'dup', 'dup2', 'dup3', 'pipe', 'pipe2', 'sendfile', 'splice', 'tee'],
  ...['copy_file_range', 'fadvise64', 'readahead', 'ioctl', 'inotify_init', 'inotify_init1'],
  ...[
    'inotify_add_watch',
    'inotify_rm_watch',
    'memfd_create',
    'getxattr',
    'lgetxattr',
    'fgetxattr',
  ],
  ...['listxattr', 'llistxattr', 'flistxattr'],
]

const MEMORY = [
  ...['mmap', 'munmap', 'mremap', 'mprotect', 'madvise', 'msync', 'mincore', 'brk', 'mlock'],
  ...['mlock2', 'munlock', 'mlockall', 'munlockall', 'membarrier', 'get_mempolicy', 'mbind'],
  ...[
    'set_mempolicy',
    'pkey_alloc',
    'pkey_free',
    'pkey_mprotect',
    'shmget',
    'shmat',
    'shmctl',
    'shmdt',
  ],
]

const PROCESSES = [
  ...['execve', 'execveat', 'fork', 'vfork', 'exit', 'exit_group', 'wait4', 'waitid', 'kill'],
  ...['tkill', 'tgkill', 'getpid', 'getppid', 'gettid', 'getpgid', 'getpgrp', 'setpgid', 'getsid'],
  ...['setsid', 'getuid', 'geteuid', 'getgid', 'getegid', 'getgroups', 'getresuid', 'getresgid'],
  ...['setuid', 'setgid', 'setresuid', 'setresgid', 'setgroups', 'capget', 'capset', 'prctl'],
  ...['arch_prctl', 'set_tid_address', 'set_robust_list', 'get_robust_list', 'rseq', 'futex'],
  ...['futex_waitv', 'futex_wake', 'futex_wait', 'futex_requeue', 'getpriority', 'setpriority'],
  ...['sched_yield', 'sched_getaffinity', 'sched_setaffinity', 'sched_getparam', 'sched_setparam'],
  ...['sched_getscheduler', 'sched_setscheduler', 'sched_get_priority_max'],
  ...['sched_get_priority_min', 'sched_rr_get_interval', 'sched_getattr', 'sched_setattr'],
  ...['getrlimit', 'setrlimit', 'prlimit64', 'getrusage', 'times', 'getcpu', 'pidfd_open'],
  ...['pidfd_send_signal', 'seccomp', 'restart_syscall', 'uname', 'sysinfo', 'getrandom'],
]

const SIGNALS_AND_TIME = [
  ...['rt_sigaction', 'rt_sigprocmask', 'rt_sigreturn', 'rt_sigpending', 'rt_sigtimedwait'],
  ...['rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'rt_sigsuspend', 'sigaltstack', 'pause', 'alarm'],
  ...['nanosleep', 'clock_nanosleep', 'clock_gettime', 'clock_getres', 'gettimeofday', 'time'],
  ...['getitimer', 'setitimer', 'timer_create', 'timer_settime', 'timer_gettime', 'timer_delete'],
  ...['timer_getoverrun', 'timerfd_create', 'timerfd_settime', 'timerfd_gettime', 'signalfd'],
  ...['signalfd4', 'eventfd', 'eventfd2'],
]

const WAITING = [
  ...['poll', 'ppoll', 'select', 'pselect6', 'epoll_create', 'epoll_create1', 'epoll_ctl'],
  ...['epoll_wait', 'epoll_pwait', 'epoll_pwait2'],
]

/** `socket` itself is below, by family. */
const SOCKETS = [
  ...['socketpair', 'bind', 'listen', 'accept', 'accept4', 'connect', 'shutdown', 'sendto'],
  ...['sendmsg', 'sendmmsg', 'recvfrom', 'recvmsg', 'recvmmsg', 'getsockname', 'getpeername'],
  ...['getsockopt', 'setsockopt'],
]

interface Argument {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ'
}

interface Rule {
  readonly names: readonly string[]
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'
  readonly errnoRet?: number
  readonly args?: readonly Argument[]
}

const allow = (names: readonly string[], args: readonly Argument[] = []): Rule => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args.length > 0 && { args }),
})

const equal = (index: number, value: number): Argument => ({ index, value, op: 'SCMP_CMP_EQ' })

const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16]
const NETLINK_ROUTE = 0
const IPPROTO = { ip: 0, tcp: 6, udp: 17 }
const [SOCK_STREAM, SOCK_DGRAM, SOCK_TYPE_MASK] = [1, 2, 0xf]
/** The CLONE_NEW* flags that clone takes: mount, cgroup, UTS, IPC, user, PID and network namespaces. */
const NEW_NAMESPACES = 0x7e020000
const ENOSYS = 38

const typed = (family: number, type: number, protocol: number): Rule =>
  allow(
    ['socket'],
    [
      equal(0, family),
      { index: 1, value: SOCK_TYPE_MASK, valueTwo: type, op: 'SCMP_CMP_MASKED_EQ' },
      equal(2, protocol),
    ],
  )

const sockets: Rule[] = [
  allow(['socket'], [equal(0, AF_UNIX)]),
  // Only TCP and UDP: no raw socket, no ping socket, no SCTP, no MPTCP.
  ...[AF_INET, AF_INET6].flatMap((family) => [
    typed(family, SOCK_STREAM, IPPROTO.ip),
    typed(family, SOCK_STREAM, IPPROTO.tcp),
    typed(family, SOCK_DGRAM, IPPROTO.ip),
    typed(family, SOCK_DGRAM, IPPROTO.udp),
  ]),
  // Read-only without CAP_NET_ADMIN; runtimes list their interfaces through it.
  allow(['socket'], [equal(0, AF_NETLINK), equal(2, NETLINK_ROUTE)]),
]

/** The profile as the engine takes it, for x86-64 and arm64 with their native entry points only. */
export const seccompProfile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 1,
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
  syscalls: [
    allow([...FILES, ...MEMORY, ...PROCESSES, ...SIGNALS_AND_TIME, ...WAITING, ...SOCKETS]),
    ...sockets,
    allow(['clone'], [{ index: 0, value: NEW_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
    // Its flags lie in memory that a filter cannot read; on "not implemented" libraries use clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    // Callers fall back on poll or threads when these do not exist.
    {
      names: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: ENOSYS,
    },
    allow(['personality'], [equal(0, 0)]),
    allow(['personality'], [equal(0, 0xffffffff)]),
  ] satisfies Rule[],
} as const
