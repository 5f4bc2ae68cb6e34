# The options of NixOS that nix/nixos.nix gives values to, with NixOS's names and types, and nothing else: what is not
# declared here does not exist.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  of = type: mkOption { inherit type; };
  orElse = default: type: mkOption { inherit type default; };
  names = orElse [ ] (types.listOf types.str);
  value = types.oneOf [ types.bool types.int types.str ];
  section = orElse { } (types.attrsOf (types.oneOf [ value (types.listOf value) ]));
  settings = orElse { } (types.attrsOf value);
  list = orElse [ ] (types.listOf (types.attrsOf value));
  unit = {
    description = orElse "" types.str;
    requires = names;
    wants = names;
    after = names;
    before = names;
    wantedBy = names;
    unitConfig = section;
  };
in
{
  options = {
    boot.kernelParams = names;
    boot.kernel.sysctl = orElse { } (types.attrsOf (types.nullOr value));
    boot.blacklistedKernelModules = names;
    environment.etc = orElse { } (types.attrsOf (types.submodule { options.text = of types.lines; }));
    networking.useDHCP = orElse true types.bool;
    networking.resolvconf.enable = orElse true types.bool;
    security.apparmor.enable = orElse false types.bool;
    services.journald.extraConfig = orElse "" types.lines;
    swapDevices = orElse [ ] (types.listOf (types.submodule { options.device = of types.str; }));
    systemd.coredump.enable = orElse true types.bool;
    systemd.package = orElse "/nix/store/systemd" types.path;
    systemd.settings.Manager = settings;
    systemd.services = orElse { } (types.attrsOf (types.submodule {
      options = unit // { serviceConfig = section; environment = settings; };
    }));
    systemd.paths = orElse { } (types.attrsOf (types.submodule { options = unit // { pathConfig = section; }; }));
    systemd.mounts = orElse [ ] (types.listOf (types.submodule {
      options = unit // {
        what = of types.str;
        where = of types.str;
        type = of types.str;
        options = of types.str;
        mountConfig = section;
      };
    }));
    systemd.network.enable = orElse false types.bool;
    systemd.network.networks = orElse { } (types.attrsOf (types.submodule {
      options = { matchConfig = settings; linkConfig = settings; networkConfig = settings; dhcpV4Config = settings; routes = list; routingPolicyRules = list; };
    }));
    users.users = orElse { } (types.attrsOf (types.submodule {
      options = { uid = of types.int; group = of types.str; isSystemUser = of types.bool; };
    }));
    users.groups = orElse { } (types.attrsOf (types.submodule { options.gid = of types.int; }));
  };
}
