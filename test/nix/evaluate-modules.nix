# A small evaluator of NixOS's module system: it stands in for nixpkgs' `lib.evalModules`, which cannot be had where
# tests run. It knows imports, options, config, mkIf, mkMerge, mkDefault, mkForce and the types below, each more loosely
# than the original; an option that does not exist, a value of another type, and two values for one are errors, as there.
let
  inherit (builtins) all any attrNames concatLists concatMap concatStringsSep elem elemAt filter foldl' hasAttr head isAttrs isBool isFunction isInt isList isString length mapAttrs match stringLength substring tail;

  marked = kind: value: isAttrs value && (value._type or null) == kind;
  shown = concatStringsSep ".";

  # A definition is a value and the conditions that it stands under; they are looked at only when its option is.
  spread = when: value:
    if marked "if" value then spread (when ++ [ value.condition ]) value.content
    else if marked "merge" value then concatMap (spread when) value.contents
    else [ { inherit when value; } ];

  ordinary = 100;
  # What holds of several definitions: those whose conditions do, of the strongest priority, without their wrapping.
  strongest = definitions:
    let
      holding = filter ({ when, ... }: all (condition: condition) when) definitions;
      unwrapped = map ({ value, ... }:
        if marked "override" value then { inherit (value) priority; value = value.content; }
        else { priority = ordinary; inherit value; }) holding;
      least = foldl' (least: { priority, ... }: if priority < least then priority else least) 1000000 unwrapped;
    in
    map ({ value, ... }: value) (filter ({ priority, ... }: priority == least) unwrapped);

  member = name: definitions: concatMap (
    { when ? [ ], value }: if hasAttr name value then spread when value.${name} else [ ]
  ) definitions;
  plain = map (value: { inherit value; when = [ ]; });
  namesOf = definitions: attrNames (foldl' (names: { value, ... }: names // value) { } definitions);

  # The value of an option; `definitions` is not empty.
  merge = type: path: definitions:
    let
      values = strongest definitions;
      wrong = filter (value: !type.check value) values;
    in
    if wrong != [ ] then throw "A definition for option `${shown path}' is not of type `${type.name}'"
    else type.merge path values;

  one = path: values:
    if all (value: value == head values) values then head values
    else throw "The option `${shown path}' has conflicting definition values";

  simple = name: check: { inherit name check; merge = one; };
  types = rec {
    bool = simple "boolean" isBool;
    int = simple "signed integer" isInt;
    str = simple "string" isString;
    path = simple "absolute path" (value: isString value && substring 0 1 value == "/");
    strMatching = pattern: simple "string matching ${pattern}" (value: isString value && match pattern value != null);
    ints.positive = simple "positive integer" (value: isInt value && value > 0);
    lines = { name = "lines"; check = isString; merge = _: concatStringsSep "\n"; };
    nullOr = type: {
      name = "null or ${type.name}";
      check = value: value == null || type.check value;
      merge = path: values: if all (value: value == null) values then null else type.merge path values;
    };
    oneOf = several: {
      name = concatStringsSep " or " (map (type: type.name) several);
      check = value: any (type: type.check value) several;
      merge = path: values: (head (filter (type: all type.check values) several)).merge path values;
    };
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge = path: values: map (value: merge type path (plain [ value ])) (concatLists values);
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = isAttrs;
      merge = path: values:
        let
          definitions = plain values;
          present = filter (name: strongest (member name definitions) != [ ]) (namesOf definitions);
        in
        builtins.listToAttrs (map (name: { inherit name; value = merge type (path ++ [ name ]) (member name definitions); }) present);
    };
    submodule = { options }: {
      name = "submodule";
      check = isAttrs;
      merge = path: values: checked path options (plain values);
    };
  };

  isOption = marked "option";
  option = path: declaration: definitions:
    if strongest definitions != [ ] then merge declaration.type path definitions
    else if declaration ? default then declaration.default
    else throw "The option `${shown path}' is used but not defined";
  tree = path: options: definitions:
    if isOption options then option path options definitions
    else mapAttrs (name: below: tree (path ++ [ name ]) below (member name definitions)) options;

  # Paths that are defined and not declared.
  strangers = path: options: definitions:
    if isOption options then [ ]
    else concatMap (name:
      if hasAttr name options then strangers (path ++ [ name ]) options.${name} (member name definitions)
      else [ (shown (path ++ [ name ])) ]) (namesOf definitions);
  checked = path: options: definitions:
    let unknown = strangers path options definitions; in
    if unknown == [ ] then tree path options definitions
    else throw "The option `${head unknown}' does not exist";

  joined = one: other:
    if isOption one || isOption other then throw "an option is declared twice"
    else one // mapAttrs (name: value: if hasAttr name one then joined one.${name} value else value) other;

  lib = {
    inherit types;
    mkOption = declaration: { _type = "option"; } // declaration;
    mkEnableOption = description: lib.mkOption { type = types.bool; default = false; inherit description; };
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
    mkForce = content: { _type = "override"; priority = 50; inherit content; };
    makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);
  };

  evalModules = { modules, specialArgs ? { } }:
    let
      load = module:
        let
          loaded = if isFunction module then module ({ inherit lib; config = unchecked; } // specialArgs)
            else if isAttrs module then module else load' (import module);
          load' = inner: if isFunction inner then inner ({ inherit lib; config = unchecked; } // specialArgs) else inner;
          structured = loaded ? config || loaded ? options;
          shape = if structured then loaded else { config = removeAttrs loaded [ "imports" ]; };
          odd = filter (name: !elem name [ "imports" "options" "config" ]) (attrNames shape);
        in
        if odd != [ ] then throw "Module has an unsupported attribute `${head odd}'"
        else concatMap load (loaded.imports or [ ]) ++ [ { options = shape.options or { }; config = shape.config or { }; } ];
      loaded = concatMap load modules;
      options = foldl' joined { } (map (module: module.options) loaded);
      definitions = concatMap (module: spread [ ] module.config) loaded;
      unchecked = tree [ ] options definitions;
    in
    { inherit options; config = checked [ ] options definitions; };
in
{ inherit lib evalModules; }
