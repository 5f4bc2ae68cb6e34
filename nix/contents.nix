# What the image holds: programs and files of the packages, our own, and the text of everything that is configured.
{
  console,
  # PEM: whose word opens the state partition, and for images of which security version.
  policyKey,
  securityVersion,
}:
let
  services = import ./services.nix { inherit securityVersion; };
  units = import ./units.nix services;
  hardening = import ./hardening.nix;

  user = name: id: {
    passwd = "${name}:x:${toString id}:${toString id}::/:/none\n";
    group = "${name}:x:${toString id}:\n";
  };
  users = map (name: user name services.users.${name}) (builtins.attrNames services.users) ++ [
    (user "systemd-network" 998)
    (user "nobody" 65534)
  ];
  groups = [ "tty" "disk" "kmem" "input" "lp" "kvm" "render" "sgx" "video" "audio" "cdrom" "dialout" "tape" "systemd-journal" ];
  # udev's rules name them; none has a member.
  group = index: name: "${name}:x:${toString (100 + index)}:\n";
  numbered = builtins.genList (i: group i (builtins.elemAt groups i)) (builtins.length groups);
  joined = builtins.concatStringsSep "";

  systemUnits = map (name: "usr/lib/systemd/system/${name}") [
    "basic.target" "emergency.target" "final.target" "local-fs-pre.target" "local-fs.target" "multi-user.target"
    "network-online.target" "network-pre.target" "network.target" "nss-lookup.target" "paths.target" "poweroff.target" "reboot.target" "rescue.target"
    "remote-fs.target" "shutdown.target" "slices.target" "sockets.target" "swap.target" "sysinit.target" "timers.target"
    "time-set.target" "tpm2.target" "umount.target"
    "sys-kernel-config.mount"
    "systemd-journald-dev-log.socket" "systemd-journald.service" "systemd-journald.socket"
    "systemd-networkd-wait-online.service" "systemd-networkd.service" "systemd-networkd.socket"
    "systemd-poweroff.service" "systemd-reboot.service" "systemd-repart.service" "systemd-sysctl.service"
    "systemd-udev-trigger.service" "systemd-udevd-control.socket" "systemd-udevd-kernel.socket" "systemd-udevd.service"
  ];
  wants = target: names: builtins.listToAttrs (map (name: {
    name = "usr/lib/systemd/system/${target}.wants/${name}";
    value = "../${name}";
  }) names);
  mount = path: { type, options, ... }: ''
    [Unit]
    DefaultDependencies=no
    Conflicts=umount.target
    Before=local-fs.target umount.target

    [Mount]
    What=${type}
    Where=${path}
    Type=${type}
    Options=${builtins.concatStringsSep "," options}
  '';
  # Without its leading slash, as the tree names it.
  relative = path: builtins.substring 1 (-1) path;
  moved = set: builtins.listToAttrs (map (path: { name = relative path; value = set.${path}; }) (builtins.attrNames set));
in
{
  # Sources of the programs of ours; each becomes one file.
  bundles = [
    "embassy/src/launch/main.ts"
    "embassy/src/main.ts"
    "embassy/src/relay/main.ts"
    "embassy/src/seal/prober.ts"
    "embassy/src/state-disk/main.ts"
    "embassy/src/store/worker.ts"
    "embassy/src/weights/main.ts"
    "gateway/src/node.ts"
    "gateway/src/tls-key.ts"
  ];

  # What an operator does not decide; the container that holds a replica's network is added when it is made.
  base = {
    version = 1;
    id = services.id;
    docker_socket = "/run/docker.sock";
    runtime_dir = "/run/sealed/${services.id}";
    state_dir = "/var/lib/sealed/embassy";
    gateway = { host = "0.0.0.0"; port = 443; admin_port = 9464; };
    probes = { interval_ms = 60000; targets = [ ]; };
    registry_certs = "/run/docker-certs.d";
    tpm = {
      path = "/dev/tpmrm0";
      event_log = "/sys/kernel/security/tpm0/binary_bios_measurements";
    };
    tee.directory = "/sys/kernel/config/tsm/report";
  };

  # Loaded in the initrd: what leads to the root on QEMU and on GCE.
  initrdModules = [ "virtio_blk" "virtio_scsi" "sd_mod" "nvme" "dm_mod" "dm_verity" "erofs" ];

  commandLine = units.kernelParams console;

  root = {
    programs = [
      "usr/bin/busybox" "usr/bin/containerd" "usr/bin/containerd-shim-runc-v2" "usr/bin/kmod" "usr/bin/mount" "usr/bin/nsenter"
      "usr/bin/stdbuf" "usr/bin/systemctl" "usr/bin/systemd-repart" "usr/bin/tee" "usr/bin/udevadm" "usr/bin/umount" "usr/bin/ip"
      "usr/lib/systemd/systemd" "usr/lib/systemd/systemd-executor" "usr/lib/systemd/systemd-journald"
      "usr/lib/systemd/systemd-networkd" "usr/lib/systemd/systemd-networkd-wait-online" "usr/lib/systemd/systemd-shutdown"
      "usr/lib/systemd/systemd-sysctl"
      "usr/lib/udev/scsi_id" "usr/lib/udev/ata_id"
      "usr/sbin/cryptsetup" "usr/sbin/dmsetup" "usr/sbin/dockerd" "usr/sbin/e2fsck" "usr/sbin/mke2fs" "usr/sbin/nft" "usr/sbin/runc"
    ];
    # By name, while they run: systemd and kmod (compressed modules), threads that are ended, nft's scripts.
    libraries = [ "libgcc_s.so.1" "libkmod.so.2" "liblzma.so.5" "libzstd.so.1" "libcrypto.so.3" ];
    files = systemUnits ++ [
      "etc/mke2fs.conf" "etc/protocols" "etc/services"
      "usr/libexec/coreutils/libstdbuf.so" "usr/share/terminfo/d/dumb"
      "usr/lib/udev/rules.d/50-udev-default.rules" "usr/lib/udev/rules.d/60-block.rules"
      "usr/lib/udev/rules.d/60-persistent-storage.rules" "usr/lib/udev/rules.d/60-persistent-storage-dm.rules"
      "usr/lib/udev/rules.d/55-dm.rules" "usr/lib/udev/rules.d/95-dm-notify.rules" "usr/lib/udev/rules.d/99-systemd.rules"
      "usr/lib/udev/rules.d/80-drivers.rules" "usr/lib/udev/rules.d/80-net-setup-link.rules" "usr/lib/udev/rules.d/75-net-description.rules"
    ];
    # Whom the engine believes of registries; Debian joins them in a script of the package, which does not run here.
    authorities = "usr/share/ca-certificates/mozilla";
    modules = map ({ name, ... }: name) hardening.modules.load;
    folders = [ "dev" "proc" "run" "sys" "tmp" "var" "root" "etc/docker" ];
    texts = moved units.files // {
      "etc/passwd" = "root:x:0:0:root:/:/none\n" + joined (map (u: u.passwd) users);
      "etc/group" = "root:x:0:\n" + joined (map (u: u.group) users) + joined numbered;
      "etc/nsswitch.conf" = "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n";
      "etc/hosts" = "127.0.0.1 localhost\n169.254.169.254 metadata.google.internal\n";
      "etc/hostname" = "sealed\n";
      "etc/acpi/PWRF/00000080" = "#!/usr/bin/busybox sh\nexec /usr/bin/systemctl poweroff\n";
      # Empty: systemd lays one over it that lasts as long as the boot.
      "etc/machine-id" = "";
      "etc/sealed/state-policy.pem" = policyKey;
      "etc/os-release" = import ./os-release.nix;
      "usr/lib/repart.d/50-state.conf" = "[Partition]\nType=linux-generic\nLabel=sealed-state\n";
      "usr/lib/systemd/system/var.mount" = mount "/var" hardening.mounts."/var";
      "usr/lib/systemd/system/tmp.mount" = mount "/tmp" hardening.mounts."/tmp";
      # Where a start fails there is nobody to ask: the machine goes off.
      "usr/lib/systemd/system/emergency.service" = ''
        [Unit]
        Description=There is nobody to ask: power off
        DefaultDependencies=no

        [Service]
        Type=oneshot
        ExecStart=/usr/bin/systemctl --no-block --force poweroff
      '';
    };
    links = moved units.links
      // wants "local-fs.target" [ "var.mount" "tmp.mount" ]
      // wants "sysinit.target" [ "sys-kernel-config.mount" "systemd-journald.service" "systemd-repart.service" "systemd-sysctl.service" "systemd-udev-trigger.service" "systemd-udevd.service" ]
      // wants "sockets.target" [ "systemd-journald-dev-log.socket" "systemd-journald.socket" "systemd-udevd-control.socket" "systemd-udevd-kernel.socket" "systemd-networkd.socket" ]
      // wants "multi-user.target" [ "systemd-networkd.service" ]
      // wants "network-online.target" [ "systemd-networkd-wait-online.service" ]
      // {
        "usr/lib/systemd/system/default.target" = "multi-user.target";
        "usr/sbin/modprobe" = "../bin/kmod";
        "usr/lib/systemd/systemd-udevd" = "../../bin/udevadm";
        # Authorities of registries, which an instance's attributes may name.
        "etc/docker/certs.d" = "/run/docker-certs.d";
      };
  };
}
