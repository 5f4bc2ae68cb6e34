# What systemd keeps each process of ours from doing. `embassy` and `gateway` are as tight as the two let them be; what
# systemd's own list (systemd-analyze security) finds open in them stands in `leftOut` with its reason.
# The relay is a child of the embassy and lives in the embassy's unit: its sandbox is the same, its user has no right.
let
  # For every process of ours.
  common = {
    NoNewPrivileges = true;
    LockPersonality = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    KeyringMode = "private";
    LimitCORE = 0;
  };
  # With a mount namespace of its own: what such a process mounts is seen by nobody else.
  enclosed = common // {
    ProtectSystem = "strict";
    # Said besides: with `strict` alone /run was seen to stay writable, in systemd 252 and 257.
    ReadOnlyPaths = [ "/run" ];
    ProtectHome = true;
    ProtectClock = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectControlGroups = true;
    ProtectProc = "invisible";
    PrivateMounts = true;
    PrivateTmp = true;
    PrivateIPC = true;
    DevicePolicy = "closed";
  };
  withoutRights = enclosed // {
    PrivateDevices = true;
    ProcSubset = "pid";
    RestrictNamespaces = true;
    RemoveIPC = true;
    UMask = "0077";
    SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
  };
in
{
  inherit common;

  embassy = { id }: enclosed // {
    # Firewall and links; probes send raw frames; other namespaces are entered and looked into; the relay becomes
    # another user and is ended; files and sockets are given to others, and those of others are swept.
    CapabilityBoundingSet = "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_DAC_OVERRIDE";
    DeviceAllow = [ "/dev/tpmrm0 rw" ];
    # Of the kernel's settings two are its own: forwarding, and IPv6 inside a replica; and the processor's reports.
    ReadWritePaths = [ "/run/sealed/${id}" "/var/lib/sealed" "/proc/sys/net" "-/sys/kernel/config/tsm" ];
    RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET";
    RestrictNamespaces = "net";
    # umount2 for what is mounted at a stop, seen from its own namespace; mount itself is not there: activations are
    # mounted beforehand, and one replica more than that does not start.
    SystemCallFilter = [ "@system-service umount2" "~@resources" ];
  };

  gateway = { id }: withoutRights // {
    # Its one right: to listen on port 443.
    CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
    AmbientCapabilities = "CAP_NET_BIND_SERVICE";
    ReadWritePaths = [ "-/run/sealed/${id}/tls" ];
    RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
  };

  # Reads the power button, and tells the service manager, as root: that is all that its socket asks for.
  power = enclosed // {
    CapabilityBoundingSet = "";
    DeviceAllow = [ "char-input r" ];
    PrivateNetwork = true;
    IPAddressDeny = "any";
    RestrictAddressFamilies = "AF_UNIX";
    RestrictNamespaces = true;
    SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
  };

  # Makes a key, writes two files.
  tlsKey = withoutRights // {
    CapabilityBoundingSet = "";
    PrivateNetwork = true;
    IPAddressDeny = "any";
    RestrictAddressFamilies = "AF_UNIX";
  };

  # Reads the metadata server, the TPM and the engine, writes the configuration.
  provision = enclosed // {
    CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE";
    DeviceAllow = [ "/dev/tpmrm0 rw" ];
    ReadWritePaths = [ "/var/lib/sealed" ];
    RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
    RestrictNamespaces = true;
    SystemCallFilter = [ "@system-service" "~@resources" ];
  };

  # Maps and mounts volumes for everybody: without a mount namespace, which PrivateNetwork would bring along. Of disks it
  # reads, and writes to none.
  weights = common // {
    CapabilityBoundingSet = "CAP_SYS_ADMIN CAP_IPC_LOCK CAP_DAC_OVERRIDE";
    DevicePolicy = "closed";
    DeviceAllow = [ "/dev/mapper/control rw" "block-* r" ];
    IPAddressDeny = "any";
    RestrictAddressFamilies = "AF_UNIX AF_NETLINK";
    RestrictNamespaces = true;
    SystemCallFilter = [ "@system-service @mount" ];
  };

  # Opens and mounts the state partition for everybody: without a mount namespace, so with few of these.
  stateDisk = common // {
    CapabilityBoundingSet = "CAP_SYS_ADMIN CAP_IPC_LOCK CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE";
    RestrictAddressFamilies = "AF_UNIX AF_NETLINK";
    RestrictNamespaces = true;
    SystemCallFilter = [ "@system-service @mount" ];
  };

  # Loads modules and then takes the right to away from everybody.
  modulesLock = common // {
    CapabilityBoundingSet = "CAP_SYS_MODULE CAP_SYS_ADMIN";
    RestrictAddressFamilies = "AF_UNIX";
    RestrictNamespaces = true;
    SystemCallFilter = [ "@system-service @module" ];
  };

  # By the names that `systemd-analyze security` gives to what it finds open.
  leftOut = {
    embassy = {
      "User=/DynamicUser=" = "firewall, engine, TPM and namespaces are root's; the relay, which meets the network, is another user";
      "CapabilityBoundingSet=~CAP_NET_ADMIN" = "nft and ip: the seal and its links";
      "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)" = "CAP_NET_RAW: probes send pings and frames without IP";
      "CapabilityBoundingSet=~CAP_SYS_ADMIN" = "to enter a replica's network, which setns asks for";
      "CapabilityBoundingSet=~CAP_SYS_PTRACE" = "to open /proc/PID/ns/net of a pause container, another user's";
      "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)" = "the relay begins as root and becomes its own user";
      "CapabilityBoundingSet=~CAP_KILL" = "to end the relay, another user's by then";
      "CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)" = "CAP_CHOWN: a socket is given to the group that may connect";
      "CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)" = "CAP_DAC_OVERRIDE: activations are a workload's files, the TLS directory the gateway's";
      "MemoryDenyWriteExecute=" = "V8 compiles while it runs";
      "PrivateNetwork=" = "its work is on the machine's network";
      "PrivateUsers=" = "no user namespaces here, and root of one has no firewall";
      "PrivateDevices=" = "the TPM; the other devices are closed by DevicePolicy";
      "DeviceAllow=" = "/dev/tpmrm0; the clock, to read, comes with ProtectClock";
      "ProcSubset=" = "/proc/sys/net, and the machine's network in /proc";
      "IPAddressDeny=" = "it goes with processes, not with networks: probes that systemd stops would say sealed where the firewall leaks";
      "RestrictAddressFamilies=~AF_UNIX" = "gateway, relay and engine are Unix sockets";
      "RestrictAddressFamilies=~AF_(INET|INET6)" = "the relay calls workloads, cooperative ones call the embassy, witnesses are asked";
      "RestrictAddressFamilies=~AF_NETLINK" = "nft and ip";
      "RestrictAddressFamilies=~AF_PACKET" = "a probe sends a frame without IP";
      "RestrictNamespaces=~net" = "it enters its replicas' networks; of the others it enters none";
      "SystemCallFilter=~@privileged" = "chown and setuid, for sockets and the relay";
      "SystemCallFilter=~@mount" = "umount2 alone, see above";
      "UMask=" = "its directories are 0711 and the certificate 0644 by design: gateway and relay pass, and read what is theirs";
      "RootDirectory=/RootImage=" = "the whole root is read-only and made for these processes";
    };
    gateway = {
      "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)" = "CAP_NET_BIND_SERVICE: port 443";
      "AmbientCapabilities=" = "the same, for a process that never was root";
      "MemoryDenyWriteExecute=" = "V8 compiles while it runs";
      "PrivateNetwork=" = "it is the way in";
      "PrivateUsers=" = "no user namespaces here";
      "DeviceAllow=" = "the clock, to read, comes with ProtectClock";
      "IPAddressDeny=" = "anybody may call; and Google's name server, which mode acme asks, has the metadata server's address";
      "RestrictAddressFamilies=~AF_UNIX" = "embassy and relay are Unix sockets";
      "RestrictAddressFamilies=~AF_(INET|INET6)" = "it is the way in";
      "RootDirectory=/RootImage=" = "the whole root is read-only and made for these processes";
    };
  };
}
