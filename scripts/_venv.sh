# shellcheck shell=sh
# Sourced by the scripts beside it:
#
#     . "$root/scripts/_venv.sh"
#     ready_venv "$root" || exit 1
#     "$venv_python" -m ...
#
# ready_venv sees to it that .venv in the repository holds the pinned development tools and this package,
# installed editable, and sets venv_python. `ready_venv "$root" bench` does the same for .venv-bench and what
# .ci/requirements-bench.txt pins, and so do `ready_venv "$root" demo` and `ready_venv "$root" oldest`. It makes the
# environment anew when the interpreter, the repository's place or the pins changed, and only installs the package
# again when pyproject.toml changed (no network needed for that). Set PYTHON to choose the interpreter. These
# environments belong to the scripts: one made by other means is replaced.

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Prints the base interpreter, then what tells it from others (its path does not: activating .venv changes
# that). Fails with 3 when it is too old, with 4 when it cannot make environments. The base, because .venv may
# be active now, and an environment cannot be cleared by its own interpreter.
probe_python() {
    "$1" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(4)
sys.stdout.reconfigure(newline="\n")
print(getattr(sys, "_base_executable", None) or sys.executable)
print(sys.implementation.cache_tag, sys.base_prefix)
' </dev/null 2>/dev/null
}

# Sets base_python and python_kind.
find_python() {
    without_ensurepip=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11 python
    fi
    for candidate in "$@"; do
        probed=$(probe_python "$candidate")
        case $? in
        0)
            base_python=$(printf '%s\n' "$probed" | sed -n 1p)
            python_kind=$(printf '%s\n' "$probed" | sed -n 2p)
            return 0
            ;;
        4) without_ensurepip=$candidate ;;
        esac
    done
    if [ -n "$without_ensurepip" ]; then
        say "$without_ensurepip cannot make virtual environments: its venv or ensurepip module is missing."
        say "Install it (Debian, Ubuntu: apt-get install python3-venv), or set PYTHON to another Python."
    elif [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is not a Python 3.11 or newer that runs here."
    else
        say "no Python 3.11 or newer found. Install one, or set PYTHON to its path."
    fi
    return 1
}

venv_pip() {
    (
        # These would lead the packages out of the environment.
        unset PIP_PREFIX PIP_ROOT PIP_TARGET
        PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv_python" -m pip "$@" </dev/null
    )
}

# Sets venv_python, which has another place on Windows.
find_venv_python() {
    venv_python=$root/$venv/bin/python
    [ -x "$venv_python" ] || [ ! -x "$root/$venv/Scripts/python.exe" ] ||
        venv_python=$root/$venv/Scripts/python.exe
}

install_tools() {
    say "making $venv with $base_python"
    if ! "$base_python" -m venv --clear "$root/$venv" </dev/null; then
        say "could not make $root/$venv. On Debian and Ubuntu it needs: apt-get install python3-venv"
        return 1
    fi
    find_venv_python
    if ! venv_pip install -qq -r "$pins"; then
        say "could not install the tools that ${pins#"$root"/} names."
        return 1
    fi
}

install_package() {
    if ! venv_pip install -qq --no-index --no-deps --no-build-isolation --editable "$root"; then
        say "could not install the package itself."
        return 1
    fi
    if ! broken=$(venv_pip check); then
        say "$broken"
        say "${pins#"$root"/} does not fit pyproject.toml: make it again as it says at its top."
        return 1
    fi
}

ready_venv() {
    root=$1
    venv=.venv${2:+-$2}
    pins=$root/.ci/requirements-${2:-dev}.txt
    unset PYTHONHOME PYTHONPATH
    find_python || return 1
    find_venv_python

    # The stamps are written last, so that what was interrupted is done again.
    tools_stamp=$root/$venv/tools.stamp
    tools_wanted=$(printf '%s\n' "$python_kind" "$root" && cat "$pins") || return 1
    if [ ! -x "$venv_python" ] || [ "$tools_wanted" != "$(cat "$tools_stamp" 2>/dev/null)" ]; then
        install_tools || return 1
        printf '%s\n' "$tools_wanted" >"$tools_stamp" || return 1
    fi
    package_stamp=$root/$venv/package.stamp
    package_wanted=$(cat "$root/pyproject.toml") || return 1
    if [ "$package_wanted" != "$(cat "$package_stamp" 2>/dev/null)" ]; then
        install_package || return 1
        printf '%s\n' "$package_wanted" >"$package_stamp" || return 1
    fi
}
