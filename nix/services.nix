# The services of a machine, in the shape of NixOS's systemd.services: nix/units.nix renders them for the image,
# nix/nixos.nix hands them to NixOS. Every argument has the image's value as its default.
#
# Order: state partition → network → modules loaded and locked → engine → provision (what this machine is to run,
# measured) → weights, TLS key → embassy → gateway, when the embassy's socket is there.
{
  # Four hex digits, as `id` in sealed.json; runtime_dir is /run/sealed/<id>, state_dir below /var/lib/sealed.
  id ? "5ea1",
  # Replicas of all workloads together: each gets a tmpfs for its activations before the embassy starts.
  replicas ? 16,
  config ? "/run/sealed-config/sealed.json",
  node ? "/usr/bin/node",
  bundles ? "/usr/lib/sealed",
  stateDevice ? "/dev/disk/by-partlabel/sealed-state",
  # What the release signed: which PCR values may open the state. A partition, not a file: nothing is mounted for it.
  approvals ? "/dev/disk/by-partlabel/sealed-approvals",
  # Whose signature that is, and the highest state that this image opens.
  policyKey ? "/etc/sealed/state-policy.pem",
  securityVersion ? 1,
  dockerd ? "/usr/sbin/dockerd",
  busybox ? "/usr/bin/busybox",
  modprobe ? "/usr/sbin/modprobe",
  sysctl ? "/usr/lib/systemd/systemd-sysctl",
  # Read by the last step of sealed-modules-lock.
  lockFile ? "${bundles}/modules-lock.conf",
  # Where the embassy and the engine find nft, ip, nsenter, tee, stdbuf, umount, containerd, its shim and runc.
  path ? "/usr/sbin:/usr/bin",
  # A gVisor that workloads may name as their runtime; null for none.
  runsc ? null,
}:
let
  sandbox = import ./sandbox.nix;
  inherit (import ./modules.nix) load;
  runtime = "/run/sealed/${id}";
  # As in scripts/instance/supervisor.ts: waking four threads costs more than they collect, and with more room it is less.
  v8 = "--v8-pool-size=1 --no-parallel-scavenge --no-concurrent-array-buffer-sweeping --min-semi-space-size=16";
  run = bundle: arguments: "${node} ${v8} ${bundles}/${bundle}.js ${arguments}";
  tpm = "dev-tpmrm0.device";
  loadAll = "${modprobe} --quiet --use-blacklist --all";
  modules = which: builtins.concatStringsSep " " (
    map (module: module.name) (builtins.filter (module: (module.optional or false) == which) load)
  );
  # Of a path, as systemd names the device's unit.
  escape = path: builtins.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (builtins.substring 1 (-1) path);
  stateUnit = "${escape stateDevice}.device";
  once = { Type = "oneshot"; RemainAfterExit = true; };
  forEver = { Type = "exec"; Restart = "always"; RestartSec = "1s"; KillMode = "mixed"; };
  numbers = n: builtins.genList (i: i) n;
  activations = builtins.listToAttrs (map (index: rec {
    name = "${runtime}/activations/${toString index}";
    value = {
      description = "Activations of replica ${toString index}";
      what = "sealed-activations";
      where = name;
      type = "tmpfs";
      # As embassy/src/replicas/activations-mount.ts mounts where nobody has before it.
      options = "size=269484032,nr_inodes=256,mode=0700,uid=64102,gid=64102,nosuid,nodev,noexec";
      mountConfig.DirectoryMode = "0711";
    };
  }) (numbers replicas));
in
{
  inherit id;

  # Users by number: nobody logs in, the names are for the service manager.
  users = {
    sealed-gateway = 64101;
    sealed-workload = 64102;
    sealed-relay = 64103;
  };

  services = {
    sealed-state = {
      description = "Encrypted state, its key sealed to this machine's measurements";
      requires = [ tpm stateUnit ];
      after = [ tpm stateUnit ];
      before = [ "docker.service" ];
      serviceConfig = once // sandbox.stateDisk // {
        ExecStart = run "embassy/state-disk/main" "--device ${stateDevice} --mount /var/lib/sealed --policy-key ${policyKey} --approvals ${approvals} --security-version ${toString securityVersion}";
      };
      environment.PATH = path;
    };

    sealed-modules-lock = {
      description = "Kernel modules: load what is needed, then none any more";
      requires = [ "sealed-state.service" ];
      wants = [ "network-online.target" ];
      after = [ "sealed-state.service" "network-online.target" ];
      before = [ "docker.service" ];
      serviceConfig = once // sandbox.modulesLock // {
        ExecStart = [
          "${loadAll} ${modules false}"
          "-${loadAll} ${modules true}"
          "${sysctl} ${lockFile}"
        ];
      };
    };

    docker = {
      description = "Docker engine, without any network of its own";
      requires = [ "sealed-state.service" "sealed-modules-lock.service" ];
      after = [ "sealed-state.service" "sealed-modules-lock.service" ];
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Type = "notify";
        # It starts containerd itself, and ends it. No sandbox: it makes mounts, devices and namespaces for others.
        ExecStart = builtins.concatStringsSep " " ([
          dockerd
          "--host=unix:///run/docker.sock --group=root"
          "--data-root=/var/lib/sealed/docker --exec-root=/run/docker --pidfile=/run/docker.pid"
          "--bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false"
          "--exec-opt=native.cgroupdriver=cgroupfs --storage-driver=overlay2 --live-restore=false"
          "--log-driver=none --no-new-privileges --default-ulimit=core=0:0 --log-level=warn"
        ] ++ (if runsc == null then [ ] else [ "--add-runtime=runsc=${runsc}" ]));
        Restart = "always";
        RestartSec = "1s";
        KillMode = "process";
        Delegate = true;
        TasksMax = "infinity";
        LimitCORE = 0;
        LimitNOFILE = 1048576;
        OOMScoreAdjust = -500;
      };
      environment.PATH = path;
    };

    sealed-power = {
      description = "The power button: an orderly end";
      wantedBy = [ "multi-user.target" ];
      requires = [ "sealed-modules-lock.service" ];
      after = [ "sealed-modules-lock.service" ];
      serviceConfig = forEver // sandbox.power // {
        # Busybox's acpid, which runs /etc/acpi/PWRF/00000080; without logind nobody else would.
        ExecStart = "${busybox} acpid -f -l /dev/null -p /tmp/acpid.pid";
      };
      environment.PATH = path;
    };

    sealed-provision = {
      description = "What this machine is to run: read, measured, written down";
      requires = [ tpm "docker.service" "sealed-modules-lock.service" ];
      wants = [ "network-online.target" ];
      after = [ tpm "network-online.target" "docker.service" "sealed-modules-lock.service" ];
      serviceConfig = once // sandbox.provision // {
        ExecStart = run "embassy/launch/main" "--attempts 10";
        # The second for authorities of registries, where the engine looks for them.
        RuntimeDirectory = "sealed-config docker-certs.d";
        RuntimeDirectoryMode = "0711";
      };
    };

    sealed-weights = {
      description = "Weights volumes: each held against its root hash, mounted where the engine sees it";
      requires = [ "sealed-provision.service" "sealed-modules-lock.service" ];
      after = [ "sealed-provision.service" "sealed-modules-lock.service" ];
      unitConfig.RequiresMountsFor = runtime;
      serviceConfig = once // sandbox.weights // {
        ExecStart = run "embassy/weights/main" "--config ${config}";
      };
      environment.PATH = path;
    };

    sealed-tls-key = {
      description = "TLS key of the gateway, made on this machine";
      requires = [ "sealed-provision.service" ];
      after = [ "sealed-provision.service" ];
      unitConfig.RequiresMountsFor = runtime;
      serviceConfig = once // sandbox.tlsKey // {
        User = "sealed-gateway";
        Group = "sealed-gateway";
        # It refuses every TLS mode but one; where it is needed and failed, the embassy does not start.
        ExecStart = "-${run "gateway/tls-key" "--config ${config}"}";
        RuntimeDirectory = "sealed/${id}/tls";
        RuntimeDirectoryMode = "0755";
        RuntimeDirectoryPreserve = true;
      };
    };

    sealed-embassy = {
      description = "Embassy: keys, seal, sessions, log";
      wantedBy = [ "multi-user.target" ];
      requires = [ tpm "docker.service" "sealed-provision.service" "sealed-modules-lock.service" "sealed-weights.service" ];
      wants = [ "sealed-tls-key.service" ];
      after = [ tpm "docker.service" "sealed-provision.service" "sealed-modules-lock.service" "sealed-weights.service" "sealed-tls-key.service" ];
      unitConfig = {
        StartLimitIntervalSec = 0;
        RequiresMountsFor = builtins.concatStringsSep " " ([ runtime ] ++ builtins.attrNames activations);
      };
      serviceConfig = forEver // sandbox.embassy { inherit id; } // {
        ExecStart = run "embassy/main" "--config ${config}";
        OOMScoreAdjust = -900;
        TimeoutStopSec = "90s";
      };
      environment.PATH = path;
    };

    sealed-gateway = {
      description = "Gateway: the way in";
      requires = [ "sealed-provision.service" ];
      after = [ "sealed-provision.service" "sealed-embassy.service" ];
      unitConfig = {
        StartLimitIntervalSec = 0;
        RequiresMountsFor = runtime;
      };
      serviceConfig = forEver // sandbox.gateway { inherit id; } // {
        User = "sealed-gateway";
        Group = "sealed-gateway";
        ExecStart = run "gateway/node" "--config ${config}";
        RuntimeDirectory = "sealed/${id}/gateway";
        RuntimeDirectoryMode = "0755";
        TimeoutStopSec = "90s";
      };
    };
  };

  # Nothing knocks before the embassy answers.
  paths.sealed-gateway = {
    description = "The embassy's socket";
    wantedBy = [ "multi-user.target" ];
    pathConfig.PathExists = "${runtime}/embassy/gateway.sock";
  };

  mounts = activations // {
    ${runtime} = {
      description = "Sockets and keys of this boot";
      what = "sealed-runtime";
      where = runtime;
      type = "tmpfs";
      options = "size=64m,mode=0711,nosuid,nodev,noexec";
      mountConfig.DirectoryMode = "0711";
    };
  };

  # systemd-networkd's. The machine has one card; replicas' links are the embassy's.
  networks = {
    "10-sealed-replicas" = {
      matchConfig.Name = "sl*";
      linkConfig.Unmanaged = true;
    };
    "20-sealed-card" = {
      matchConfig.Driver = "gve virtio_net";
      networkConfig = {
        DHCP = "ipv4";
        IPv6AcceptRA = false;
        LinkLocalAddressing = false;
        LLMNR = false;
        MulticastDNS = false;
      };
      # Of what the host's DHCP says, addresses, routes and their size, and nothing that names or times this machine.
      dhcpV4Config = {
        ClientIdentifier = "mac";
        SendHostname = false;
        UseDNS = false;
        UseDomains = false;
        UseHostname = false;
        UseMTU = true;
        UseNTP = false;
        UseTimezone = false;
      };
      # Packets of a pass-through load balancer come with its own address, which elsewhere a guest agent makes the
      # machine's. Here what comes in for the gateway is taken, whatever address it names, and nothing else is.
      routes = [ { Destination = "0.0.0.0/0"; Type = "local"; Table = 443; } ];
      routingPolicyRules = [
        { Family = "ipv4"; IncomingInterface = "eth0"; IPProtocol = "tcp"; DestinationPort = 443; Table = 443; }
      ];
    };
  };

  # Files that units and processes read.
  files = {
    ${lockFile} = "kernel.modules_disabled = 1\n";
    # Google's, the same on every machine: nothing here takes one from DHCP.
    "/etc/resolv.conf" = "nameserver 169.254.169.254\n";
  };
}
