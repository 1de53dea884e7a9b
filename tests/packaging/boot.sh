#!/bin/bash
# Boots systemd on this machine's own files, in namespaces of its own: nothing that it changes stays.
#   unshare --mount --pid --fork --ipc --uts --cgroup boot.sh FOLDER SOURCE PYTHON PACKAGES SCRIPT
# FOLDER takes what is written to /out there; SOURCE, PYTHON and PACKAGES are at /src, /python and /packages; SCRIPT, in
# /src, is run as root. Status 77 where this machine does not let us.
set -eu
folder=$1 source=$2 python=$3 packages=$4 script=$5
can() { "$@" || exit 77; }
mkdir -p "$folder/top"
can mount --make-rprivate /
can mount -t tmpfs upper "$folder/top"
cd "$folder/top"
mkdir new
can mount -t tmpfs root new
for name in usr etc var opt; do
  mkdir -p "new/$name" "changed/$name" "work/$name"
  can mount -t overlay over -o "lowerdir=/$name,upperdir=changed/$name,workdir=work/$name" "new/$name"
done
for name in bin sbin lib lib64; do [ -L "/$name" ] && cp -a "/$name" "new/$name"; done
mkdir new/{proc,sys,dev,run,tmp,root,home,boot,out,src,python,packages,old}
mount --bind "$folder" new/out
mount --bind "$source" new/src
mount --bind "$python" new/python
mount --bind "$packages" new/packages
for name in src python packages; do mount -o remount,bind,ro "new/$name"; done
can mount -t proc proc new/proc
can mount -t sysfs sys new/sys
can mount -t cgroup2 groups new/sys/fs/cgroup
mount -t tmpfs dev new/dev
for name in null zero full random urandom tty; do : > "new/dev/$name"; mount --bind "/dev/$name" "new/dev/$name"; done
mkdir new/dev/pts new/dev/shm new/dev/net
# As udev makes it.
can mknod -m 666 new/dev/net/tun c 10 200
mount -t devpts pts new/dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx new/dev/ptmx
chmod 1777 new/tmp new/dev/shm

cd new
# No service of this machine is wanted, only its programs.
rm -rf etc/systemd/system/* usr/lib/systemd/system/*.wants etc/ld.so.conf.d/00-python.conf
echo /python/lib > etc/ld.so.conf.d/00-python.conf
chroot . /sbin/ldconfig
mkdir -p opt/buildhook/bin
cat > opt/buildhook/bin/buildhook <<END
#!/bin/sh
exec env PYTHONPATH=/src:/packages /python/bin/python3 -m bot "\$@"
END
chmod 755 opt/buildhook/bin/buildhook
cat > etc/systemd/system/script.service <<END
[Service]
Type=oneshot
Environment=PYTHONPATH=/src:/packages PYTHONDONTWRITEBYTECODE=1
WorkingDirectory=/src
ExecStart=/python/bin/python3 /src/$script
ExecStopPost=/bin/sh -c 'journalctl --no-pager --unit=buildhook > /out/journal'
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=file:/out/said
StandardError=file:/out/said
TimeoutStartSec=5min
END
printf '[Unit]\nWants=script.service systemd-journald.service\n' > etc/systemd/system/only.target
ln -s only.target etc/systemd/system/default.target
can pivot_root . old
umount -l /old
mount --make-rshared /
exec env -i container=podman PATH=/usr/bin:/usr/sbin:/bin:/sbin /lib/systemd/systemd --system --unit=only.target --log-target=null
