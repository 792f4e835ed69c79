// SPDX-License-Identifier: BSD-3-Clause
//
// crema bpf: runs a command whose bpf(2) calls, and those of everything it starts, are served here
// instead of by the kernel: then the objects live as long as the command; with --to by a running
// data path, which they are part of. A folder of ours stands for the BPF file system; where the
// right to mount is there, it lies over /sys/fs/bpf for the command alone.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "apps/common/exit_code.h"
#include "apps/crema/output.h"
#include "apps/crema/stand_in.h"
#include "apps/crema/verbs.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/supervise/control_socket.h"
#include "lib/ebpf/supervise/supervisor.h"
#include "lib/ebpf/supervise/trap.h"
#include "lib/ebpf/syscall/pins.h"

namespace crema::command {
namespace {

namespace fs = std::filesystem;

constexpr char kBpfFs[] = "/sys/fs/bpf";
constexpr int kNotExecutable = 126, kNotFound = 127;  // as shells say it
constexpr int kBySignal = 128;

/// A new folder that leaves with this.
class StandIn {
  public:
    static Result<StandIn> make() {
        const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
        const char* const temporary = std::getenv("TMPDIR");
        const std::string parent = runtime != nullptr     ? runtime
                                   : temporary != nullptr ? temporary
                                                          : "/tmp";
        std::string path = parent + "/crema-bpf-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) {
            return fail(errno, "{}: no folder for pins (errno {})", path, errno);
        }
        return StandIn(path);
    }

    StandIn(StandIn&& other) noexcept : path_(std::exchange(other.path_, {})) {}

    StandIn& operator=(StandIn&&) = delete;
    StandIn(const StandIn&) = delete;
    StandIn& operator=(const StandIn&) = delete;

    ~StandIn() {
        std::error_code ignored;
        if (!path_.empty()) {
            fs::remove_all(path_, ignored);
        }
    }

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    explicit StandIn(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

/// The library that shows descriptors as the kernel would, beside this program or where it is
/// installed. Empty: not found; programs run without it.
std::string preload_library() {
    std::error_code ignored;
    const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    for (const char* place : {"../../lib/ebpf/preload", CREMA_PRELOAD_FROM_BIN}) {
        const fs::path file = folder / place / "libcrema-bpf.so";
        if (fs::exists(file, ignored)) {
            return fs::canonical(file, ignored).string();
        }
    }
    return {};
}

/// What is mounted on `path` does not show in other mount namespaces. The mount that holds the path
/// is the first above it: in a changed root "/" need not be one.
bool keep_mounts_here(const fs::path& path) {
    for (fs::path at = path;; at = at.parent_path()) {
        if (::mount(nullptr, at.c_str(), nullptr, MS_SLAVE, nullptr) == 0) {
            return true;
        }
        if (errno != EINVAL || at == at.root_path()) {
            return false;
        }
    }
}

/// Puts the stand-in over /sys/fs/bpf in a mount namespace of our own. False: no right to.
bool cover_bpffs(const std::string& stand_in) {
    struct stat status {};

    return ::stat(kBpfFs, &status) == 0 && ::unshare(CLONE_NEWNS) == 0 &&
           keep_mounts_here(kBpfFs) &&
           ::mount(stand_in.c_str(), kBpfFs, nullptr, MS_BIND, nullptr) == 0;
}

void set_environment(const std::string& stand_in) {
    const std::string library = preload_library();
    if (library.empty()) {
        say_error("libcrema-bpf.so is missing: tools will not find fdinfo and the BPF file system");
    } else {
        const char* const others = std::getenv("LD_PRELOAD");
        const std::string all = others != nullptr ? library + ":" + others : library;
        ::setenv("LD_PRELOAD", all.c_str(), 1);
    }
    ::setenv("CREMA_BPFFS", stand_in.c_str(), 1);
}

[[noreturn]] void give_up(const std::string& why, int code) {
    say_error(why);
    ::_exit(code);
}

/// What is left to do when bpf(2) calls of this process are served: never returns.
[[noreturn]] void execute(const std::vector<std::string>& command, const std::string& stand_in) {
    set_environment(stand_in);
    if (!cover_bpffs(stand_in)) {
        ::setenv("LIBXDP_BPFFS", stand_in.c_str(), 1);
    }
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const std::string& word : command) {
        words.push_back(const_cast<char*>(word.c_str()));
    }
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const int code = errno;
    give_up(fmt::format("{}: cannot be run: {}", command[0], std::strerror(code)),
            code == ENOENT ? kNotFound : kNotExecutable);
}

/// In the child: never returns.
[[noreturn]] void become_command(const BpfOptions& options,
                                 const std::string& stand_in,
                                 int channel) {
    {
        const auto listener = ebpf::supervise::trap_bpf_calls();
        if (!listener) {
            give_up(listener.error().message, app::kFailed);
        }
        if (const Status sent = ebpf::supervise::send_descriptor(channel, listener->get()); !sent) {
            give_up(sent.error().message, app::kFailed);
        }
    }
    // The other side is ready when it says so.
    char ready = 0;
    if (::read(channel, &ready, 1) != 1) {
        ::_exit(app::kFailed);
    }
    execute(options.command, stand_in);
}

/// Served by another process: this one becomes the command.
int run_at(const BpfOptions& options) {
    std::string stand_in;
    {
        const auto listener = ebpf::supervise::trap_bpf_calls();
        if (!listener) {
            say_error(listener.error().message);
            return app::kFailed;
        }
        auto taken = ebpf::supervise::hand_over(options.to, *listener);
        if (!taken) {
            say_error(taken.error().message);
            return app::kFailed;
        }
        stand_in = std::move(*taken);
    }
    execute(options.command, stand_in);
}

volatile std::sig_atomic_t g_command = 0;  // the child, for the handler

void pass_on(int signal) {
    ::kill(static_cast<pid_t>(g_command), signal);
}

/// The objects of all processes are open here: as many descriptors as there may be. COMMAND's limit
/// stays what it was.
void allow_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/// The command gets the terminal's signals by itself; others are passed on to it.
void leave_signals_to(pid_t command) {
    g_command = command;
    for (const int signal : {SIGINT, SIGQUIT}) {
        (void)std::signal(signal, SIG_IGN);
    }
    for (const int signal : {SIGTERM, SIGHUP}) {
        (void)std::signal(signal, pass_on);
    }
}

int wait_for(pid_t command) {
    int status = 0;
    while (::waitpid(command, &status, 0) < 0) {
        if (errno != EINTR) {
            return app::kFailed;
        }
    }
    return WIFSIGNALED(status) ? kBySignal + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<std::unique_ptr<ebpf::supervise::Supervisor>> supervise(int channel,
                                                               const BpfOptions& options,
                                                               const std::string& stand_in) {
    if (const Status named = ebpf::syscall::pins::set_directory(stand_in); !named) {
        return forward_error(named);
    }
    register_stand_ins();
    auto listener = ebpf::supervise::receive_descriptor(channel);
    if (!listener) {
        return forward_error(listener);
    }
    return ebpf::supervise::Supervisor::start(std::move(*listener), {.verbose = options.verbose});
}

}  // namespace

int run_verb(const BpfOptions& options) {
    if (!options.to.empty()) {
        return run_at(options);
    }
    const auto stand_in = StandIn::make();
    if (!stand_in) {
        say_error(stand_in.error().message);
        return app::kFailed;
    }
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        say_error(fmt::format("no socket pair (errno {})", errno));
        return app::kFailed;
    }
    UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const pid_t command = ::fork();
    if (command < 0) {
        say_error(fmt::format("fork: errno {}", errno));
        return app::kFailed;
    }
    if (command == 0) {
        ours.reset();
        become_command(options, stand_in->path(), theirs.get());
    }
    theirs.reset();
    allow_descriptors();
    leave_signals_to(command);
    const auto supervisor = supervise(ours.get(), options, stand_in->path());
    if (supervisor) {
        (void)!::write(ours.get(), "r", 1);
    } else if (supervisor.error().code != ECONNRESET) {  // else the child has said why
        say_error(supervisor.error().message);
    }
    ours.reset();
    const int code = wait_for(command);
    ebpf::syscall::pins::clear();
    return code;
}

}  // namespace crema::command
