# What systemd keeps each process of ours from doing. `embassy` and `gateway` are as tight as the two let them be; each
# directive of systemd's own list (systemd-analyze security) that is not there stands in `leftOut` with its reason.
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

  leftOut = {
    embassy = {
      User = "firewall, engine, TPM and namespaces are root's; the relay, which meets the network, is another user";
      MemoryDenyWriteExecute = "V8 compiles while it runs";
      PrivateNetwork = "its work is on the machine's network";
      PrivateUsers = "no user namespaces here, and root of one has no firewall";
      PrivateDevices = "the TPM; the other devices are closed by DevicePolicy";
      ProcSubset = "/proc/sys and /proc/PID/ns of replicas";
      IPAddressDeny = "it goes with processes, not with networks: probes that systemd stops would say sealed where the firewall leaks";
      RestrictAddressFamilies_AF_PACKET = "a probe sends a frame without IP";
      RestrictAddressFamilies_AF_NETLINK = "nft and ip";
      RestrictNamespaces_net = "it enters its replicas' networks";
      CapabilityBoundingSet = "those that are left are named with what they are for";
      UMask = "its directories are 0711 and the certificate 0644 by design: gateway and relay pass, and read what is theirs";
      RootDirectory = "the whole root is read-only and made for these processes";
      SystemCallFilter_privileged = "it gives files to other users, and the relay becomes one";
    };
    gateway = {
      MemoryDenyWriteExecute = "V8 compiles while it runs";
      PrivateNetwork = "it is the way in";
      PrivateUsers = "no user namespaces here";
      IPAddressDeny = "anybody may call; and Google's name server, which mode acme asks, has the metadata server's address";
      RootDirectory = "the whole root is read-only and made for these processes";
      DynamicUser = "a number is part of the protocol between processes: sockets are given to 64101";
    };
  };
}
