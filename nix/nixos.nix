# A NixOS module from the same attribute sets, for people who build their machines on nixpkgs:
#   imports = [ ./nix/nixos.nix ];  services.sealed = { enable = true; package = …; };
#
# IT IS NOT THE IMAGE THAT IS MEASURED. That one is built from hash-locked Debian packages by the derivations beside this
# file, and reference values exist for it alone. A machine built with this module has its own closure, kernel, command
# line and root: no published policy accepts its quotes, and whoever runs it has to compute and publish values of his own.
# It takes services, users, links, kernel parameters, settings and modules; root file system, verity and boot loader are
# the builder's.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.sealed;
  hardening = import ./hardening.nix;
  services = import ./services.nix {
    inherit (cfg) id replicas stateDevice;
    config = cfg.configFile;
    node = "${cfg.node}/bin/node";
    bundles = "${cfg.package}/lib/sealed";
    dockerd = "${cfg.docker}/bin/dockerd";
    modprobe = "${pkgs.kmod}/bin/modprobe";
    sysctl = "${config.systemd.package}/lib/systemd/systemd-sysctl";
    lockFile = "/etc/sealed/modules-lock.conf";
    path = lib.makeBinPath cfg.tools;
    runsc = if cfg.gvisor == null then null else "${cfg.gvisor}/bin/runsc";
  };
  inherit (lib) mkOption types;
  values = map (entry: entry.value);
  names = map (entry: entry.name);
  below = prefix: path: builtins.substring (builtins.stringLength prefix) (-1) path;
in
{
  options.services.sealed = {
    enable = lib.mkEnableOption "sealed computation: embassy, gateway and what they stand on";
    package = mkOption {
      type = types.path;
      description = "What holds lib/sealed/*.js, one bundle a process.";
    };
    node = mkOption {
      type = types.path;
      default = pkgs.nodejs_24;
      description = "Node 24.";
    };
    docker = mkOption {
      type = types.path;
      default = pkgs.docker;
      description = "The engine, containerd and runc included.";
    };
    gvisor = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A gVisor that workloads may name as their runtime.";
    };
    tools = mkOption {
      type = types.listOf types.path;
      default = [ cfg.docker pkgs.nftables pkgs.iproute2 pkgs.util-linux pkgs.coreutils pkgs.kmod pkgs.cryptsetup pkgs.e2fsprogs ];
      description = "Where nft, ip, nsenter, tee, stdbuf, umount and modprobe are found.";
    };
    id = mkOption {
      type = types.strMatching "[0-9a-f]{4}";
      default = "5ea1";
      description = "As `id` in sealed.json.";
    };
    replicas = mkOption {
      type = types.ints.positive;
      default = 16;
      description = "Replicas of all workloads together.";
    };
    configFile = mkOption {
      type = types.str;
      default = "/run/sealed-config/sealed.json";
      description = "sealed.json; sealed-provision writes it.";
    };
    stateDevice = mkOption {
      type = types.str;
      default = "/dev/disk/by-partlabel/sealed-state";
      description = "The partition of the encrypted state.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services = builtins.mapAttrs (
      _: service:
      service // {
        # NixOS sets a PATH for every service; ours is the whole of it.
        environment = builtins.mapAttrs (_: lib.mkForce) (service.environment or { });
      }
      # There logind hears the power button.
    ) (builtins.removeAttrs services.services [ "sealed-power" ]);
    systemd.paths = services.paths;
    systemd.mounts = builtins.attrValues services.mounts;
    systemd.network = {
      enable = true;
      inherit (services) networks;
    };
    systemd.settings.Manager = builtins.mapAttrs (_: entry: entry.value) hardening.manager;
    systemd.coredump.enable = false;
    services.journald.extraConfig = builtins.concatStringsSep "" (
      map (name: "${name}=${hardening.journal.${name}.value}\n") (builtins.attrNames hardening.journal)
    );

    networking.useDHCP = false;
    networking.resolvconf.enable = false;
    environment.etc = builtins.listToAttrs (
      map (path: { name = below "/etc/" path; value.text = services.files.${path}; }) (builtins.attrNames services.files)
    );

    users.users = builtins.mapAttrs (name: uid: { inherit uid; group = name; isSystemUser = true; }) services.users;
    users.groups = builtins.mapAttrs (_: gid: { inherit gid; }) services.users;

    boot.kernelParams = values (hardening.kernelParams ++ hardening.console.production);
    boot.kernel.sysctl = builtins.mapAttrs (_: entry: entry.value) hardening.sysctl;
    # sealed-modules-lock loads and locks; what a machine without some device cannot load is no fault of its boot.
    boot.blacklistedKernelModules = names (hardening.modules.blacklist ++ hardening.modules.refuse);
    swapDevices = lib.mkForce [ ];
    security.apparmor.enable = false;
  };
}
