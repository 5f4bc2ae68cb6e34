# NixOS's hardened profile (nixos/modules/profiles/hardened.nix) and the security.* options it sets, option by option:
# what of each holds here. `taken`: "yes" as there; "other", its purpose by other means; "no". `here` names entries of
# nix/hardening.nix (kernelParams, sysctl, modules) by which it holds; a test looks them up.
{
  "boot.kernelPackages = linuxPackages_hardened" = {
    taken = "other";
    here = [ "lockdown=confidentiality" "init_on_free=1" ];
    reason = "a kernel with patches of its own has fewer eyes and slower fixes than Debian's; what it would switch on is said on the command line";
  };
  "nix.settings.allowed-users" = { taken = "no"; reason = "there is no Nix in the image, and no user who logs in"; };
  "environment.memoryAllocator.provider = scudo" = {
    taken = "no";
    reason = "V8 and Node's buffers allocate by themselves, so it would cover little; preloaded, it is one more library in every process, and not what Node is tested with";
  };
  "environment.variables.SCUDO_OPTIONS" = { taken = "other"; here = [ "init_on_free=1" ]; reason = "no scudo; pages are cleared by the kernel when they are given back"; };
  "security.lockKernelModules" = {
    taken = "other";
    here = [ "module.sig_enforce=1" "module_blacklist=" ];
    reason = "sealed-modules-lock does the same from a list that is written down, before the engine starts, and the embassy does not start without it";
  };
  "security.protectKernelImage" = { taken = "yes"; here = [ "nohibernate" "kernel.kexec_load_disabled" ]; reason = "what runs stays what was measured"; };
  "security.allowSimultaneousMultithreading = false" = {
    taken = "other";
    here = [ "mitigations=auto,nosmt" ];
    reason = "half of the machine for an attack that Milan and Sapphire Rapids are not known to have; where the kernel knows the processor to leak, the threads are off here too. Cloud providers give both threads of a core to one machine";
  };
  "security.forcePageTableIsolation" = { taken = "yes"; here = [ "pti=on" ]; reason = "a stranger's workload makes system calls beside the embassy"; };
  "security.unprivilegedUsernsClone" = { taken = "other"; here = [ "user.max_user_namespaces" ]; reason = "none at all, root's neither: stricter than its false"; };
  "security.allowUserNamespaces" = { taken = "other"; here = [ "user.max_user_namespaces" ]; reason = "the profile has stopped setting it for podman's sake; Docker without userns-remap needs none"; };
  "security.virtualisation.flushL1DataCache" = { taken = "no"; reason = "it protects a host from its guests, and nothing is a guest of ours: no KVM in the image"; };
  "security.apparmor.enable" = { taken = "no"; here = [ "apparmor=0" ]; reason = "see apparmor=0: a compiler in the trusted base for denials that are there without it"; };
  "security.apparmor.killUnconfinedConfinables" = { taken = "no"; reason = "without AppArmor there is no profile to be without"; };
  "boot.kernelParams slab_nomerge" = { taken = "yes"; here = [ "slab_nomerge" ]; reason = "as there"; };
  "boot.kernelParams page_poison=1" = { taken = "other"; here = [ "init_on_free=1" ]; reason = "Debian builds no page poisoning; clearing on free covers slabs too"; };
  "boot.kernelParams page_alloc.shuffle=1" = { taken = "yes"; here = [ "page_alloc.shuffle=1" ]; reason = "as there"; };
  "boot.kernelParams debugfs=off" = { taken = "yes"; here = [ "debugfs=off" ]; reason = "as there"; };
  "boot.blacklistedKernelModules, protocols" = { taken = "yes"; here = [ "ax25" "netrom" "rose" ]; reason = "as there, and more"; };
  "boot.blacklistedKernelModules, file systems" = {
    taken = "yes";
    here = [ "adfs" "affs" "bfs" "befs" "cramfs" "efs" "exofs" "freevxfs" "f2fs" "hfs" "hpfs" "jfs" "minix" "nilfs2" "ntfs" "omfs" "qnx4" "qnx6" "sysv" "ufs" ];
    reason = "as there, and more, but for one";
  };
  "boot.blacklistedKernelModules erofs" = { taken = "no"; reason = "it is the root's file system, and what it reads is held against the root hash before it reads it"; };
  "kernel.kptr_restrict = 2" = { taken = "yes"; here = [ "kernel.kptr_restrict" ]; reason = "as there"; };
  "net.core.bpf_jit_enable = false" = {
    taken = "other";
    here = [ "net.core.bpf_jit_harden" "kernel.unprivileged_bpf_disabled" ];
    reason = "without the compiler the interpreter runs each container's seccomp profile at each system call, slower and itself a tool of speculative attacks; compiled, with blinded constants, and programs are root's";
  };
  "kernel.ftrace_enabled = false" = { taken = "yes"; here = [ "kernel.ftrace_enabled" ]; reason = "as there"; };
  "net.ipv4.conf.*.log_martians" = { taken = "no"; reason = "nobody reads the kernel's log, and strangers would fill it; the seal counts what it drops"; };
  "net.ipv4.conf.*.rp_filter = 1" = { taken = "yes"; here = [ "net.ipv4.conf.all.rp_filter" "net.ipv4.conf.default.rp_filter" "net.ipv4.conf.*.rp_filter" ]; reason = "as there"; };
  "net.ipv4.icmp_echo_ignore_broadcasts" = { taken = "yes"; here = [ "net.ipv4.icmp_echo_ignore_broadcasts" ]; reason = "as there"; };
  "net.*.conf.*.accept_redirects, secure_redirects" = {
    taken = "yes";
    here = [
      "net.ipv4.conf.all.accept_redirects" "net.ipv4.conf.default.accept_redirects"
      "net.ipv4.conf.all.secure_redirects" "net.ipv4.conf.default.secure_redirects"
      "net.ipv6.conf.all.accept_redirects" "net.ipv6.conf.default.accept_redirects"
    ];
    reason = "as there";
  };
  "net.ipv4.conf.*.send_redirects" = { taken = "yes"; here = [ "net.ipv4.conf.all.send_redirects" "net.ipv4.conf.default.send_redirects" ]; reason = "as there"; };
  # Set by earlier versions of the profile.
  "kernel.yama.ptrace_scope = 1" = { taken = "yes"; here = [ "kernel.yama.ptrace_scope" ]; reason = "as there"; };
  "kernel.dmesg_restrict" = { taken = "yes"; here = [ "kernel.dmesg_restrict" ]; reason = "as there"; };
  "kernel.unprivileged_bpf_disabled" = { taken = "yes"; here = [ "kernel.unprivileged_bpf_disabled" ]; reason = "as there"; };
  "vm.mmap_rnd_bits = 32" = { taken = "yes"; here = [ "vm.mmap_rnd_bits" ]; reason = "as there; its twin for 32-bit programs has no use, there are none"; };
  "vm.mmap_min_addr = 65536" = { taken = "yes"; here = [ "vm.mmap_min_addr" ]; reason = "as there"; };
  "vm.unprivileged_userfaultfd" = { taken = "yes"; here = [ "vm.unprivileged_userfaultfd" ]; reason = "as there"; };
  "boot.kernelParams vsyscall=none" = { taken = "yes"; here = [ "vsyscall=none" ]; reason = "as there"; };
  "boot.kernelParams slub_debug=FZP" = { taken = "other"; here = [ "init_on_free=1" ]; reason = "the kernel prints real addresses while it is on, which is why NixOS dropped it"; };
}
