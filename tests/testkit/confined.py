"""Becomes a program as containers run it: without root, the file system read-only but for one folder, and under a seccomp profile.

    confined.py PROFILE FOLDER ID PROGRAM [ARGUMENT...]

Exits with 77 and says why where the kernel or who starts it does not allow that.
"""

import ctypes
import json
import os
import platform
import sys

UNABLE = 77
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
# The same number on all architectures.
SYS_MOUNT_SETATTR = 442
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9
ACT_ALLOW, ACT_ERRNO = 0x7FFF0000, 0x00050000
OPERATORS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace")]


def unable(why):
    print(f"confined: {why}", file=sys.stderr)
    sys.exit(UNABLE)


def check(what, result):
    if result < 0:
        unable(f"{what}: {os.strerror(ctypes.get_errno())}")


def attributes(path, flags, **changes):
    attribute = MountAttributes(**changes)
    arguments = (ctypes.c_long(AT_FDCWD), path, ctypes.c_long(flags), ctypes.byref(attribute), ctypes.c_long(ctypes.sizeof(attribute)))
    check(f"the mount of {path.decode()} cannot be changed", libc.syscall(ctypes.c_long(SYS_MOUNT_SETATTR), *arguments))


def mount(folder):
    check("no mount namespace can be made", libc.unshare(CLONE_NEWNS))
    check("mounts cannot be made private", libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    check("the folder cannot be mounted", libc.mount(folder, folder, None, ctypes.c_ulong(MS_BIND), None))
    attributes(b"/", AT_RECURSIVE, set=MOUNT_ATTR_RDONLY)
    attributes(folder, 0, clear=MOUNT_ATTR_RDONLY)


def action(name, errno):
    return ACT_ALLOW if name == "SCMP_ACT_ALLOW" else ACT_ERRNO | errno


def rules(profile):
    """The profile as libseccomp takes it; nothing is loaded yet. What this architecture does not have is left out, as engines do."""
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as error:
        unable(f"no libseccomp: {error}")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    if ARCHITECTURES.get(platform.machine()) not in profile["architectures"]:
        unable(f"the profile is not for {platform.machine()}")
    context = library.seccomp_init(action(profile["defaultAction"], profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        given = [
            Comparison(each["index"], OPERATORS[each["op"]], each["value"], each.get("valueTwo", 0)) for each in rule.get("args", [])
        ]
        comparisons = (Comparison * len(given))(*given)
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue
            added = library.seccomp_rule_add_array(
                context, action(rule["action"], rule.get("errnoRet", 1)), number, len(given), comparisons
            )
            if added < 0:
                raise OSError(-added, f"{name}: {os.strerror(-added)}")
    return lambda: library.seccomp_load(context)


def main():
    profile, folder, owner, program, *arguments = sys.argv[1:]
    with open(profile, encoding="utf-8") as file:
        load = rules(json.load(file))
    mount(os.fsencode(os.path.realpath(folder)))
    number = int(owner)
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    check("privileges cannot be given up", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    loaded = load()
    if loaded < 0:
        unable(f"the filter cannot be loaded: {os.strerror(-loaded)}")
    os.execv(program, [program, *arguments])


main()
