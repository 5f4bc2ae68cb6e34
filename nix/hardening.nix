# How the machine below the services is hardened: the kernel's command line, its settings and modules, mounts, the
# service manager's own defaults. Each entry gives its reason. Pure data: the image renders it, nix/nixos.nix maps it.
# nix/hardened-profile.nix goes through NixOS's list and says for each option what of it is here and what is not.
let
  modules = import ./modules.nix;
  all = families: names: entry: builtins.listToAttrs (
    builtins.concatMap (family: map (name: { name = "net.${family}.conf.${name}"; value = entry; }) names) families
  );
  both = key: entry: all [ "ipv4" "ipv6" ] [ "all.${key}" "default.${key}" ] entry;
  only4 = key: entry: all [ "ipv4" ] [ "all.${key}" "default.${key}" ] entry;
  only6 = key: entry: all [ "ipv6" ] [ "all.${key}" "default.${key}" ] entry;
in
{
  inherit modules;

  # The measured command line, behind what names the root.
  kernelParams = [
    { value = "lockdown=confidentiality"; reason = "not even root reads or changes the kernel's memory, where the keys of the disk are; unsigned modules and kexec go with it"; }
    { value = "module.sig_enforce=1"; reason = "only modules that this kernel's build signed, from the first of the initrd on"; }
    { value = "module_blacklist=${builtins.concatStringsSep "," (map (m: m.name) modules.refuse)}"; reason = "see modules.nix: refused whoever asks"; }
    { value = "slab_nomerge"; reason = "an overflow stays among objects of one kind"; }
    { value = "init_on_alloc=1"; reason = "no page or object is handed out with what was in it; Debian's default, said so that no later kernel changes it"; }
    { value = "init_on_free=1"; reason = "what was freed is gone: prompts and keys do not outlive their process. In the place of page_poison, which Debian does not build"; }
    { value = "page_alloc.shuffle=1"; reason = "free pages in an order nobody can foresee"; }
    { value = "randomize_kstack_offset=on"; reason = "a stack elsewhere at each system call"; }
    { value = "pti=on"; reason = "the kernel's pages stay unmapped while others run, on processors too that are thought not to need it; also keeps its addresses from timing attacks"; }
    { value = "mitigations=auto,nosmt"; reason = "the workload is a stranger beside the embassy's keys: where a processor leaks between two threads of a core, one thread is given up"; }
    { value = "vsyscall=none"; reason = "no code at an address known beforehand; Debian's default, said for the same reason"; }
    { value = "ia32_emulation=off"; reason = "no 32-bit system calls: a second, less used way into the kernel"; }
    { value = "debugfs=off"; reason = "the kernel's insides, made for developers"; }
    { value = "proc_mem.force_override=never"; reason = "nobody writes to another's read-only pages through /proc/PID/mem"; }
    { value = "random.trust_bootloader=off"; reason = "a seed that the firmware gives is the host's: mixed in, never counted. The processor's own instruction is counted"; }
    { value = "oops=panic"; reason = "a kernel that has faulted is not one whose word is quoted"; }
    { value = "panic=-1"; reason = "starts again at once: a new boot, new keys, counted by the TPM"; }
    { value = "nohibernate"; reason = "memory is never written to a disk"; }
    { value = "erst_disable"; reason = "the host's ACPI may offer a store for the kernel's last messages: it would be read by the host"; }
    { value = "hest_disable"; reason = "nor does the host tell this kernel of hardware errors by ACPI, in tables and memory of its own"; }
    { value = "apparmor=0"; reason = "the engine would need AppArmor's compiler, run as root at each start, for a profile whose denials (mounts, tracing, writes below /proc and /sys) our containers have without it: no capability, own seccomp profile, masked paths"; }
    { value = "systemd.swap=0"; reason = "no swap, whatever a disk offers"; }
    { value = "systemd.gpt_auto=0"; reason = "the partition table is not measured content: a host that adds a partition of type /var or /home gets no mount. The root is named by its hash"; }
    { value = "systemd.import_credentials=no"; reason = "SMBIOS strings and fw_cfg are the host's: they could carry units, users, settings"; }
    { value = "systemd.getty_auto=no"; reason = "no login on any terminal that turns up"; }
  ];

  # Where the kernel writes its messages. With `debug` in the place of `production` it is another command line, so
  # other PCRs: no verifier takes one for the other.
  console = {
    production = [
      { value = "8250.nr_uarts=0"; reason = "there is no serial port: what it prints, the host and whoever may read the project's logs would read"; }
      { value = "console=tty0"; reason = "the kernel would look for a console by itself, and could find the firmware's"; }
      { value = "quiet"; reason = "what does not help the owner helps an observer"; }
      { value = "systemd.show_status=no"; reason = "the same, for the service manager"; }
    ];
    debug = [
      { value = "console=ttyS0,115200"; reason = "an image to look into; it answers to no policy"; }
      { value = "systemd.journald.forward_to_console=1"; reason = "with what the services say"; }
    ];
  };

  sysctl =
    {
      "kernel.kptr_restrict" = { value = 2; reason = "no kernel address is shown, to nobody"; };
      "kernel.dmesg_restrict" = { value = 1; reason = "the kernel's log is root's"; };
      "kernel.unprivileged_bpf_disabled" = { value = 1; reason = "programs in the kernel are root's; 1 cannot be undone until the next boot"; };
      "net.core.bpf_jit_harden" = { value = 2; reason = "constants of compiled filters are blinded, for root's too: a workload chooses none, its seccomp profile is compiled all the same"; };
      "net.core.bpf_jit_kallsyms" = { value = 0; reason = "addresses of compiled filters are not listed"; };
      "kernel.yama.ptrace_scope" = { value = 1; reason = "only a parent traces: runsc does, as its own parent; nothing else here traces"; };
      "kernel.kexec_load_disabled" = { value = 1; reason = "no other kernel takes over a boot that was measured"; };
      "kernel.sysrq" = { value = 0; reason = "no commands to the kernel from a keyboard or a terminal, which are the host's"; };
      "kernel.perf_event_paranoid" = { value = 3; reason = "counters of the processor tell what others compute; 3 is Debian's: root's only"; };
      "kernel.ftrace_enabled" = { value = 0; reason = "no hooks in the kernel's functions"; };
      "kernel.io_uring_disabled" = { value = 2; reason = "a large interface that seccomp does not see; Node does not use it unless told to"; };
      "kernel.randomize_va_space" = { value = 2; reason = "addresses of everything, the heap too"; };
      "kernel.panic_on_oops" = { value = 1; reason = "as oops=panic, for what comes after a change by hand"; };
      "kernel.core_pattern" = { value = "/dev/null"; reason = "a dump holds keys and prompts: the kernel writes to no device file, and starts no program"; };
      "fs.suid_dumpable" = { value = 0; reason = "what has changed its user is never dumped, nor readable by its new user's other processes"; };
      "vm.mmap_rnd_bits" = { value = 32; reason = "as much chance in addresses as x86-64 has"; };
      "vm.mmap_min_addr" = { value = 65536; reason = "nothing lies where a null pointer leads"; };
      "vm.unprivileged_userfaultfd" = { value = 0; reason = "nobody but root holds the kernel in the middle of a copy"; };
      "user.max_user_namespaces" = { value = 0; reason = "in one, anybody is root of a network and of mounts, which is how most of the kernel's holes are reached. Docker without userns-remap makes none, nor does runsc beside a replica's network"; };
      "fs.protected_hardlinks" = { value = 1; reason = "no link to a file that one may not write"; };
      "fs.protected_symlinks" = { value = 1; reason = "in a directory of all, a link is followed by its owner alone"; };
      "fs.protected_fifos" = { value = 2; reason = "nor is another's pipe opened there by whoever wanted a file"; };
      "fs.protected_regular" = { value = 2; reason = "nor another's file"; };
      "dev.tty.ldisc_autoload" = { value = 0; reason = "no terminal discipline is loaded for whoever asks"; };
      "dev.tty.legacy_tiocsti" = { value = 0; reason = "nobody types into another's terminal"; };
      "net.ipv4.ip_local_port_range" = { value = "32768 60999"; reason = "the relay's ports, 61000 to 61999, which the seal's rules match, stay out of it; the kernel's default, said because rules depend on it"; };
      "net.ipv4.ip_forward" = { value = 0; reason = "packets are passed on only where a workload has an egress list: the embassy turns it on then"; };
      "net.ipv6.conf.all.forwarding" = { value = 0; reason = "the same"; };
      "net.ipv4.tcp_syncookies" = { value = 1; reason = "the gateway answers through a flood of openings"; };
      "net.ipv4.tcp_rfc1337" = { value = 1; reason = "a stray reset does not cut a connection that is closing"; };
      "net.ipv4.icmp_echo_ignore_broadcasts" = { value = 1; reason = "not part of anybody's flood; the kernel's default"; };
      "net.ipv4.conf.*.rp_filter" = { value = 1; reason = "on devices too that systemd's own file has given the looser 2: the larger of all and the device's counts"; };
    }
    // only4 "rp_filter" { value = 1; reason = "a packet comes by the way on which its answer would leave. Replicas have a /31 each on a device each, the machine one card, so strict holds; the seal checks the same first, in netdev"; }
    // only4 "secure_redirects" { value = 0; reason = "routes are ours alone, also a gateway does not change them"; }
    // only4 "send_redirects" { value = 0; reason = "we teach nobody routes"; }
    // both "accept_redirects" { value = 0; reason = "routes are ours alone"; }
    // both "accept_source_route" { value = 0; reason = "a sender does not choose the way"; }
    // only6 "accept_ra" { value = 0; reason = "no address, route or name server from whoever is on the link"; };

  # Every file system that is mounted, and how. The root is read-only by what it is: EROFS under dm-verity.
  mounts = {
    "/" = { type = "erofs"; options = [ "ro" ]; reason = "its root hash is on the measured command line; there is nothing to remount"; };
    "/var" = { type = "tmpfs"; options = [ "nosuid" "nodev" "noexec" "size=64m" "mode=0755" ]; reason = "what programs insist on writing is gone with the boot; only /var/lib/sealed, mounted below, stays"; };
    "/tmp" = { type = "tmpfs"; options = [ "nosuid" "nodev" "noexec" "size=64m" "mode=1777" ]; reason = "bounded, and nothing in it is started"; };
    "/dev/shm" = { type = "tmpfs"; options = [ "nosuid" "nodev" "noexec" "size=64m" "mode=1777" ]; reason = "the same"; };
    "/var/lib/sealed" = { type = "ext4"; options = [ "nosuid" "nodev" ]; reason = "the encrypted state, mounted by sealed-state; images of workloads lie there, so programs of theirs are started from it, in containers only"; };
  };

  # Of the service manager, in system.conf.d.
  manager = {
    DefaultLimitCORE = { value = "0"; reason = "no core dumps, as a hard limit: nobody without CAP_SYS_RESOURCE raises it"; };
    DumpCore = { value = "no"; reason = "nor one of the manager itself"; };
    CrashShell = { value = "no"; reason = "no shell when the manager crashes"; };
    CtrlAltDelBurstAction = { value = "none"; reason = "keys are the host's to press"; };
    DefaultTasksMax = { value = "512"; reason = "a service that forks without end stops itself alone"; };
  };

  # Of the journal, in journald.conf.d.
  journal = {
    Storage = { value = "volatile"; reason = "logs hold no contents, and stay in memory all the same"; };
    RuntimeMaxUse = { value = "32M"; reason = "bounded"; };
    ForwardToConsole = { value = "no"; reason = "the console is the host's"; };
    ReadKMsg = { value = "yes"; reason = "why a machine stopped stays readable to what runs in it"; };
  };
}
