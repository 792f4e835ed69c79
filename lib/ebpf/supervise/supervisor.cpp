// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/supervise/supervisor.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <optional>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <thread>

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>

#include "lib/base/caller.h"
#include "lib/ebpf/supervise/private_commands.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/perf_events.h"
#include "lib/ebpf/syscall/run_stats.h"
#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::ebpf::supervise {

/// Shared by the threads; the last one to go frees it.
struct Supervisor::State {
    UniqueFd listener;
    UniqueFd stop;  // an eventfd
    Options options;
    std::mutex receive;  // one thread waits for calls, the others for their turn
    std::atomic<bool> finished{false};
    std::mutex threads;
    std::condition_variable left;
    int running = 0;  // under `threads`
};

namespace {

using State = Supervisor::State;

constexpr int kThreads = 4;

/// Objects that one command touches may be touched by another: one at a time, whoever asks.
std::mutex& command_mutex() {
    static std::mutex the_mutex;
    return the_mutex;
}

/// The next call; nothing: stopped, or no process is left.
std::optional<seccomp_notif> receive(State& state) {
    constexpr int kTidyAfterMs = 1000;
    const std::lock_guard lock(state.receive);
    for (;;) {
        pollfd waits[] = {{.fd = state.listener.get(), .events = POLLIN, .revents = 0},
                          {.fd = state.stop.get(), .events = POLLIN, .revents = 0}};
        const int ready = ::poll(waits, 2, kTidyAfterMs);
        if (ready < 0 && errno != EINTR) {
            return std::nullopt;
        }
        if (ready == 0) {
            run_stats::follow_sysctl();
            collect_objects();
        }
        if (ready <= 0) {
            continue;
        }
        if (waits[1].revents != 0) {
            return std::nullopt;
        }
        if ((waits[0].revents & POLLIN) != 0) {
            seccomp_notif call{};
            if (::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) {
                return call;
            }
            continue;  // its process ended meanwhile
        }
        state.finished.store(true, std::memory_order_release);
        return std::nullopt;
    }
}

std::size_t g_next_look = 64;  // under the command mutex

void collect_all() {
    syscall::object_store::collect();
    g_next_look = std::max<std::size_t>(64, 2 * syscall::object_store::size());
}

/// Objects that nobody has open any more are looked for when their number has doubled.
void tidy() {
    if (syscall::object_store::size() >= g_next_look) {
        collect_all();
    }
}

void tell_refusal(const std::string& call) {
    syscall::Session* session = syscall::Session::current();
    if (session->refusal()) {
        (void)std::fprintf(stderr, "crema bpf: %s: %s\n", call.c_str(),
                           session->refusal()->message.c_str());
    }
}

/// A program runs where its caller may run: per-CPU values tell.
void run_where_caller_may(pid_t caller) {
    cpu_set_t cpus;
    if (::sched_getaffinity(caller, sizeof cpus, &cpus) == 0) {
        (void)::sched_setaffinity(0, sizeof cpus, &cpus);
    }
}

long serve_call(const State& state, int command, const seccomp_data& data) {
    auto* attr = reinterpret_cast<void*>(data.args[1]);
    const auto size = static_cast<std::uint32_t>(data.args[2]);
    std::unique_lock lock(command_mutex(), std::defer_lock);
    if (command != BPF_PROG_TEST_RUN) {
        lock.lock();
    } else {
        run_where_caller_may(caller::current());
    }
    if (is_private(command)) {
        try {
            return serve_private(command, data.args[1], size);
        } catch (const std::bad_alloc&) {
            return -ENOMEM;
        }
    }
    syscall::Session::current()->clear_refusal();
    long result = syscall::serve(command, attr, size);
    if ((result == -EMFILE || result == -ENFILE) && command != BPF_PROG_TEST_RUN) {
        // What nobody has open any more may be all that is in the way.
        collect_all();
        syscall::Session::current()->clear_refusal();
        result = syscall::serve(command, attr, size);
    }
    if (result < 0 && state.options.verbose) {
        tell_refusal("bpf(2) command " + std::to_string(command));
    }
    if (result >= 0 && syscall::returns_descriptor(command)) {
        tidy();
    }
    return result;
}

bool returns_descriptor(int command) {
    return is_private(command) ? private_returns_descriptor(command)
                               : syscall::returns_descriptor(command);
}

/// perf_event_open; nothing: the kernel must answer.
std::optional<long> open_event(const State& state, const seccomp_data& data) {
    const std::lock_guard lock(command_mutex());
    syscall::Session::current()->clear_refusal();
    std::optional<long> result;
    try {
        result = syscall::perf_event_open(data.args[0], static_cast<std::int32_t>(data.args[1]),
                                          static_cast<std::int32_t>(data.args[2]),
                                          static_cast<std::int32_t>(data.args[3]), data.args[4]);
    } catch (const std::bad_alloc&) {
        return -ENOMEM;
    }
    if (result.value_or(0) < 0 && state.options.verbose) {
        tell_refusal("perf_event_open(2)");
    }
    return result;
}

void let_kernel_answer(const State& state, const seccomp_notif& call) {
    seccomp_notif_resp response{};
    response.id = call.id;
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    (void)::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void respond(const State& state, const seccomp_notif& call, long result) {
    seccomp_notif_resp response{};
    response.id = call.id;
    response.val = result >= 0 ? result : 0;
    response.error = result < 0 ? static_cast<int>(result) : 0;
    // Fails when the process was killed: then nobody waits.
    (void)::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/// The result is a descriptor of the caller; one that stays open when it executes another program
/// only when it asked for that. Ours is closed before the next command is served: the caller, who
/// goes on at once, may close its own and look whether the object is gone.
void give(const State& state, const seccomp_notif& call, UniqueFd fd, bool keeps) {
    const std::lock_guard lock(command_mutex());
    seccomp_notif_addfd add{};
    add.id = call.id;
    add.flags = SECCOMP_ADDFD_FLAG_SEND;
    add.srcfd = static_cast<std::uint32_t>(fd.get());
    add.newfd_flags = keeps ? 0 : O_CLOEXEC;
    if (::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) {
        respond(state, call, -errno);  // the process has no room for another, or is gone
    }
    fd.reset();
}

/// Does the process still wait for the answer to this call, and are we to go on?
bool still_waits(const State& state, std::uint64_t id) {
    pollfd stop{.fd = state.stop.get(), .events = POLLIN, .revents = 0};
    return ::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 &&
           ::poll(&stop, 1, 0) == 0;
}

void answer(const State& state, const seccomp_notif& call) {
    if (call.pid == 0) {  // of a namespace that we do not see into
        respond(state, call, -ESRCH);
        return;
    }
    const caller::Scope scope(static_cast<pid_t>(call.pid),
                              [&state, id = call.id] { return still_waits(state, id); });
    // From here on its process number cannot mean another process: the call waits for us.
    if (::ioctl(state.listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) != 0) {
        return;
    }
    if (call.data.nr == __NR_perf_event_open) {
        const std::optional<long> opened = open_event(state, call.data);
        if (!opened) {
            let_kernel_answer(state, call);
        } else if (*opened < 0) {
            respond(state, call, *opened);
        } else {
            const bool keeps = (call.data.args[4] & PERF_FLAG_FD_CLOEXEC) == 0;
            give(state, call, UniqueFd(static_cast<int>(*opened)), keeps);
        }
        return;
    }
    const int command = static_cast<int>(call.data.args[0]);
    const long result = serve_call(state, command, call.data);
    if (result >= 0 && returns_descriptor(command)) {
        give(state, call, UniqueFd(static_cast<int>(result)), false);
    } else {
        respond(state, call, result);
    }
}

void work(const std::shared_ptr<State>& state) {
    const syscall::Session session(0, syscall::Session::OnRefusal::fail, syscall::default_engine(),
                                   syscall::Session::Lifetime::descriptors);
    while (const auto call = receive(*state)) {
        answer(*state, *call);
    }
    collect_objects();
    const std::lock_guard lock(state->threads);
    if (--state->running == 0) {
        state->left.notify_all();
    }
}

/// A lease that somebody breaks while it is asked for sends SIGIO, whose default is to end us.
void survive_broken_leases() {
    struct sigaction action {};

    if (::sigaction(SIGIO, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        (void)::sigaction(SIGIO, &action, nullptr);
    }
}

/// Both sides take turns, so the kernel may run them on one CPU (6.6 and later; else nothing).
void take_turns(int listener) {
    constexpr unsigned long kSetFlags = SECCOMP_IOW(4, std::uint64_t);
    constexpr std::uint64_t kSyncWakeUp = 1;
    (void)::ioctl(listener, kSetFlags, kSyncWakeUp);
}

}  // namespace

void collect_objects() {
    const std::lock_guard lock(command_mutex());
    syscall::object_store::collect();
}

Result<std::unique_ptr<Supervisor>> Supervisor::start(UniqueFd listener, Options options) {
    survive_broken_leases();
    auto state = std::make_shared<State>();
    run_stats::follow_sysctl();
    take_turns(listener.get());
    state->listener = std::move(listener);
    state->stop.reset(::eventfd(0, EFD_CLOEXEC));
    state->options = options;
    if (!state->stop.valid()) {
        return fail(errno, "no eventfd for the supervisor (errno {})", errno);
    }
    // Detached: on old kernels one may be inside of NOTIF_RECV, which nothing interrupts.
    state->running = kThreads;
    for (int i = 0; i < kThreads; ++i) {
        std::thread(work, state).detach();
    }
    return std::make_unique<Supervisor>(std::move(state));
}

Supervisor::~Supervisor() {
    const std::uint64_t one = 1;
    (void)!::write(state_->stop.get(), &one, sizeof one);
    constexpr std::chrono::seconds kPatience(5);  // of one that is in the middle of a test run
    std::unique_lock lock(state_->threads);
    (void)state_->left.wait_for(lock, kPatience, [this] { return state_->running == 0; });
}

bool Supervisor::finished() const {
    return state_->finished.load(std::memory_order_acquire);
}

}  // namespace crema::ebpf::supervise
