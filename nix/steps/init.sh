#!/busybox sh
# First process: opens the root under dm-verity, whose hash the kernel's command line names, and hands over to it.
# Whatever goes wrong ends here, and powers the machine off: there is no shell to fall into.
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sys /sys
/busybox mount -t devtmpfs dev /dev

fail() {
  echo "initrd: $*" >/dev/kmsg
  /busybox sync
  /busybox poweroff -f
}

value_of() {
  for word in $(/busybox cat /proc/cmdline); do
    case $word in "$1"=*) echo "${word#*=}" ;; esac
  done
}

for module in $(/busybox cat /modules/order); do
  /busybox insmod "/modules/$module" || fail "$module does not load"
done

device=
tries=0
until [ -n "$device" ]; do
  for entry in /sys/class/block/*/uevent; do
    # The first one that has the name: another disk's copy has to pass under the same hash.
    if /busybox grep -qx PARTNAME=sealed-root "$entry" 2>/dev/null; then
      device=$(/busybox sed -n 's/^DEVNAME=//p' "$entry")
      break
    fi
  done
  [ -n "$device" ] && break
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || fail 'no partition is named sealed-root'
  /busybox sleep 0.1
done

blocks=$(value_of sealed.root_blocks)
hash=$(value_of sealed.root_hash)
salt=$(value_of sealed.root_salt)
# A block that is not what its hash says stops the machine at once.
/usr/sbin/dmsetup create sealed-root --readonly --noudevsync --noudevrules --table \
  "0 $((blocks * 8)) verity 1 /dev/$device /dev/$device 4096 4096 $blocks $blocks sha256 $hash $salt 1 panic_on_corruption" ||
  fail 'dm-verity does not open the root'
/busybox mount -t erofs -o ro /dev/dm-0 /sysroot || fail 'the root does not mount'
/busybox mount --move /dev /sysroot/dev
/busybox umount /sys /proc
exec /busybox switch_root /sysroot /usr/lib/systemd/systemd
