# Renders what nix/services.nix and nix/hardening.nix say into the text of files, always in the same order.
#   import ./units.nix (import ./services.nix { })
# gives `files` (path → text, everything below /usr/lib/systemd and what units read), and `links` (path → target), by
# which targets want units: there is no `systemctl enable` in an image.
services:
let
  hardening = import ./hardening.nix;
  inherit (builtins) attrNames concatMap concatStringsSep isAttrs isBool isList listToAttrs replaceStrings substring;
  lines = concatStringsSep "\n";

  scalar = value: if isBool value then (if value then "true" else "false") else toString value;
  # A list is a key said several times. Only a key that may be empty is: an empty string clears what systemd presets.
  entry = name: value:
    if isList value then concatMap (entry name) value else [ "${name}=${scalar value}" ];
  entries = set: concatMap (name: entry name set.${name}) (attrNames set);
  section = name: body: if body == [ ] then "" else "[${name}]\n${lines body}\n";
  file = sections: concatStringsSep "\n" (builtins.filter (text: text != "") sections);

  # One line with all units of a list; the member is left out where the list is.
  relation = unit: key: member:
    let names = unit.${member} or [ ]; in
    if names == [ ] then [ ] else [ "${key}=${concatStringsSep " " names}" ];
  unitSection = unit: section "Unit" (
    [ "Description=${unit.description}" ]
    ++ relation unit "Requires" "requires"
    ++ relation unit "Wants" "wants"
    ++ relation unit "After" "after"
    ++ relation unit "Before" "before"
    ++ entries (unit.unitConfig or { })
  );
  installSection = unit: section "Install" (relation unit "WantedBy" "wantedBy");

  # Words with spaces or quotes would need quoting, and none of ours has them.
  assignment = name: value:
    if builtins.match "[A-Za-z0-9_./:=-]*" value == null then throw "environment ${name}: ${value} would need quotes"
    else "Environment=${name}=${value}";

  service = unit: file [
    (unitSection unit)
    (section "Service" (
      (let environment = unit.environment or { }; in map (name: assignment name environment.${name}) (attrNames environment))
      ++ entries unit.serviceConfig
    ))
    (installSection unit)
  ];
  path = unit: file [ (unitSection unit) (section "Path" (entries unit.pathConfig)) (installSection unit) ];
  mount = unit: file [
    (unitSection unit)
    (section "Mount" (
      [ "What=${unit.what}" "Where=${unit.where}" "Type=${unit.type}" "Options=${unit.options}" ]
      ++ entries (unit.mountConfig or { })
    ))
  ];
  sections = name: bodies: concatStringsSep "" (map (body: "\n" + section name (entries body)) bodies);
  network = unit: file [
    (section "Match" (entries unit.matchConfig))
    (section "Link" (entries (unit.linkConfig or { })))
    (section "Network" (entries (unit.networkConfig or { })))
    (section "DHCPv4" (entries (unit.dhcpV4Config or { })))
  ] + sections "Route" (unit.routes or [ ]) + sections "RoutingPolicyRule" (unit.routingPolicyRules or [ ]);

  # As systemd names a mount's unit by its path.
  mountName = where: "${replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (substring 1 (-1) where)}.mount";
  rendered = directory: suffix: render: set:
    map (name: { name = "/usr/lib/systemd/${directory}/${name}${suffix}"; value = render set.${name}; }) (attrNames set);

  links = suffix: set: concatMap (name:
    map (target: {
      name = "/usr/lib/systemd/system/${target}.wants/${name}${suffix}";
      value = "../${name}${suffix}";
    }) (set.${name}.wantedBy or [ ])) (attrNames set);

  settings = header: set: section header (map (name: "${name}=${set.${name}.value}") (attrNames set));
in
{
  files = listToAttrs (
    rendered "system" ".service" service services.services
    ++ rendered "system" ".path" path services.paths
    ++ map (where: { name = "/usr/lib/systemd/system/${mountName where}"; value = mount services.mounts.${where}; }) (attrNames services.mounts)
    ++ rendered "network" ".network" network services.networks
    ++ [
      { name = "/usr/lib/systemd/system.conf.d/sealed.conf"; value = settings "Manager" hardening.manager; }
      { name = "/usr/lib/systemd/journald.conf.d/sealed.conf"; value = settings "Journal" hardening.journal; }
      # Behind all of a distribution's own, which give some of the same keys other values.
      {
        name = "/usr/lib/sysctl.d/99-sealed.conf";
        value = concatStringsSep "" (map (name: "${name} = ${toString hardening.sysctl.${name}.value}\n") (attrNames hardening.sysctl));
      }
      {
        name = "/usr/lib/modprobe.d/sealed.conf";
        value = concatStringsSep "" (map ({ name, ... }: "blacklist ${name}\n") (hardening.modules.blacklist ++ hardening.modules.refuse));
      }
    ]
  ) // services.files;

  links = listToAttrs (links ".service" services.services ++ links ".path" services.paths);

  # The command line behind what names the root; `console` is "production" or "debug".
  kernelParams = console: concatStringsSep " " (map (param: param.value) (hardening.kernelParams ++ hardening.console.${console}));
}
