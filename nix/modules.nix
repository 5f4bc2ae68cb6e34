# The kernel's modules: which are loaded before the kernel takes no more, which never are. Names are those of Debian's
# cloud kernel 6.12; what it has built in (TPM, NVMe, ext4, virtio_pci, AF_PACKET, SHA-256, CRC32C) is not a module and
# stands in no list. An image needs no other .ko file than those of `load` and what they depend on.
{
  # In this order. `optional` ones are for one kind of machine and fail on another; all others must load.
  load = [
    { name = "dm_mod"; reason = "the verified root and the encrypted state are both mapped devices"; }
    { name = "dm_verity"; reason = "every block of the root, and of weights volumes, is held against a root hash; loaded in the initrd already"; }
    { name = "dm_crypt"; reason = "the state partition"; }
    { name = "xts"; reason = "the state partition's mode; dm_crypt asks for it by name when it is opened, which is too late once modules are locked"; }
    { name = "aesni_intel"; reason = "AES by the processor's instructions: a table-driven one leaks its key through the cache to a workload"; optional = true; }
    { name = "erofs"; reason = "the root's file system, and that of weights volumes; loaded in the initrd already"; }
    { name = "overlay"; reason = "the engine's layers"; }
    { name = "configfs"; reason = "below it the processor is asked for its report"; }
    { name = "tsm"; reason = "the one interface to reports of both processors; sev_guest and tdx_guest register with it"; }
    { name = "sev_guest"; reason = "reports on AMD SEV-SNP; fails elsewhere"; optional = true; }
    { name = "tdx_guest"; reason = "quotes on Intel TDX; fails elsewhere"; optional = true; }
    { name = "gve"; reason = "Google's network card; a driver without its card does nothing"; }
    { name = "virtio_net"; reason = "QEMU's network card, and that of older machine types of Google's"; }
    { name = "virtio_blk"; reason = "QEMU's disk"; }
    { name = "virtio_scsi"; reason = "disks of Google's machine types before NVMe"; }
    { name = "sd_mod"; reason = "the same disks, as block devices"; }
    { name = "button"; reason = "a cloud stops a machine by its power button; sealed-power turns that into an orderly end"; }
    { name = "evdev"; reason = "how the button is read"; }
    { name = "veth"; reason = "a replica's link"; }
    { name = "nf_tables"; reason = "the seal; counters, sets, meta and the netdev and inet hooks are in this one"; }
    { name = "nf_conntrack"; reason = "an answer is told from a question for egress lists"; }
    { name = "nft_ct"; reason = "`ct state` and `ct direction` in the seal's rules"; }
    { name = "nft_reject_inet"; reason = "the seal answers by a reset, so that nothing is delivered late; its netdev chains only drop, and Debian builds no nft_reject_netdev"; }
    { name = "nft_chain_nat"; reason = "the chain that masquerades what an egress list lets out"; }
    { name = "nft_nat"; reason = "translation for that chain"; }
    { name = "nft_masq"; reason = "`masquerade` in that chain"; }
  ];

  # Refused by the kernel itself (module_blacklist= on the measured command line), whoever asks, in the initrd too.
  refuse = [
    { name = "virtio_rng"; reason = "the host would be asked for randomness, and credited with it"; }
    { name = "vsock"; reason = "sockets to the host, round the firewall"; }
    { name = "vmw_vsock_virtio_transport"; reason = "the same; systemd loads it by itself in a virtual machine"; }
    { name = "vsock_loopback"; reason = "between processes round the firewall"; }
    { name = "virtio_console"; reason = "a terminal of the host's"; }
    { name = "qemu_fw_cfg"; reason = "files of the host's, below /sys; systemd would take credentials out of them"; }
    { name = "binfmt_misc"; reason = "a kernel that starts other programs than the one named"; }
    { name = "af_alg"; reason = "the kernel's ciphers for any user; attacked through it more than once, and nothing here uses it"; }
    { name = "tun"; reason = "a network device that a process makes; nothing here does"; }
    { name = "bridge"; reason = "frames between replicas; each has a link of its own to the host"; }
    { name = "br_netfilter"; reason = "the same"; }
    { name = "zram"; reason = "no swap, in memory neither"; }
  ];

  # Never loaded by their alias (modprobe.d): NixOS's list, and what else a socket or a mount would pull in. After the
  # lock no module is loaded at all; this is for the seconds before it. erofs of NixOS's list is our root.
  blacklist =
    let
      because = reason: map (name: { inherit name reason; });
    in
    because "an obscure network protocol (NixOS's list)" [ "ax25" "netrom" "rose" ]
    ++ because "a network protocol that nothing here speaks" [ "dccp" "sctp" "rds" "tipc" "can" "l2tp_core" "mptcp_diag" ]
    ++ because "an old or rare file system (NixOS's list)" [
      "adfs" "affs" "bfs" "befs" "cramfs" "efs" "exofs" "freevxfs" "f2fs" "hfs" "hpfs" "jfs" "minix" "nilfs2" "ntfs"
      "omfs" "qnx4" "qnx6" "sysv" "ufs"
    ]
    ++ because "a file system that no disk of ours has: a host that adds one gets no parser for it" [
      "btrfs" "hfsplus" "isofs" "ntfs3" "squashfs" "udf" "xfs" "nfs" "cifs" "9p" "virtiofs"
    ]
    ++ because "a bus that a virtual machine has no use for" [ "firewire_core" "thunderbolt" "usb_storage" ];
}
