"""What kind of place a folder is in: the file system below it, and tools that copy it behind one's back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_NETWORK = {
    "9p",
    "afpfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "drvfs",
    "fuse.ceph",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "webdav",
}
_PASSING = {"overlay", "overlayfs", "aufs", "ramfs", "tmpfs", "rootfs"}

# What the folders of such tools are called, as they set them up.
_SYNCED = {
    "dropbox": "Dropbox",
    "google drive": "Google Drive",
    "googledrive": "Google Drive",
    "icloud drive": "iCloud",
    "mobile documents": "iCloud",
    "nextcloud": "Nextcloud",
    "onedrive": "OneDrive",
    "owncloud": "ownCloud",
    "pcloud drive": "pCloud",
    "proton drive": "Proton Drive",
    "seafile": "Seafile",
}
_MARKERS = {
    ".dropbox": "Dropbox",
    ".dropbox.cache": "Dropbox",
    ".nextcloudsync.log": "Nextcloud",
    ".owncloudsync.log": "ownCloud",
    ".stfolder": "Syncthing",
    ".sync": "Resilio Sync",
}


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Where a folder is.

    Attributes:
        type: as the system calls it, such as `ext4`; empty where it does not say.
        mount_point: where it is mounted.
        is_network: whether it is, or may be, another machine's.
        is_passing: whether it goes with a reboot or with a container.
        free_bytes: what is left of it for this user, or `None` where that cannot be told.
    """

    type: str
    mount_point: str
    is_network: bool
    is_passing: bool
    free_bytes: int | None


def file_system(path: str) -> FileSystem:
    """The file system that `path` is on."""
    import psutil

    real = os.path.realpath(path)
    kind, mount_point, options = "", os.path.abspath(os.sep), ""
    for each in psutil.disk_partitions(all=True):
        # Of several mounts over one another the last one is seen.
        if _is_below(real, each.mountpoint) and len(each.mountpoint) >= len(mount_point):
            kind, mount_point, options = each.fstype, each.mountpoint, each.opts
    try:
        free: int | None = psutil.disk_usage(real).free
    except OSError:
        free = None
    name = kind.lower()
    return FileSystem(kind, mount_point, name in _NETWORK or "remote" in options.split(","), name in _PASSING, free)


def synced_by(path: str) -> str | None:
    """The tool that seems to keep `path` in step with other machines, going by what its folders are called."""
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        name = folder.name.lower()
        for known, tool in _SYNCED.items():
            # With an account's name behind it, as OneDrive's folder of a company has.
            if name == known or name.startswith((f"{known} - ", f"{known} (")):
                return tool
            if folder.parent.name == "CloudStorage" and name.startswith(f"{known}-"):
                return tool
        for marker, tool in _MARKERS.items():
            if os.path.lexists(folder / marker):
                return tool
    return None


def _is_below(path: str, folder: str) -> bool:
    try:
        return os.path.commonpath([path, folder]) == os.path.normpath(folder)
    except ValueError:  # on different drives
        return False
