// SPDX-License-Identifier: BSD-3-Clause
//
// call_fuzz: hostile bpf(2) calls and object files, most telling in a build with sanitizers.
//
//   call_fuzz OBJECT_FOLDER... [--calls N] [--seconds N] [--seed N]
//   call_fuzz OBJECT_FOLDER... --record FILE --commit ID [--chunk N] ...
//       appends a line of JSON per chunk (500000 calls) to FILE, and goes on behind the last one
//
// A seed is a round: 500 calls of a session, and two damaged objects through the loader. After each
// round no object, no descriptor and no pin may be left; after each chunk the process may not have
// grown. Whatever crashes, or a sanitizer finds, ends it.
//
// Exit codes: 0 good, 1 something was left, or a record that cannot be written, 2 wrong usage.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <malloc.h>
#include <map>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/ebpf/loader/object.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/pins.h"
#include "lib/ebpf/syscall/session.h"
#include "lib/xdp/events.h"
#include "lib/xdp/hook.h"
#include "tests/fuzz/hostile_calls.h"
#include "tests/fuzz/record.h"
#include "tests/fuzz/request.h"
#include "tests/fuzz/samples.h"
#include "tests/support/open_files.h"

namespace crema::test::fuzz {
namespace {

constexpr int kCallsPerRound = 500;
constexpr int kFilesPerRound = 2;
/// What may come to a process that leaks nothing. A sanitizer keeps freed memory, and what it knows
/// of it, for long; leaks it finds itself, when the process ends.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kGrowthMaxKb = 1024 * 1024;
#else
constexpr std::uint64_t kGrowthMaxKb = 16 * 1024;
#endif

struct Tally {
    std::uint64_t calls = 0, succeeded = 0, files = 0, files_loaded = 0, rounds = 0;
    std::map<std::string, std::uint64_t> by_command, succeeded_by_command;
};

std::string command_name(int command) {
    static constexpr const char* kNames[] = {"MAP_CREATE",        "MAP_LOOKUP_ELEM",
                                             "MAP_UPDATE_ELEM",   "MAP_DELETE_ELEM",
                                             "MAP_GET_NEXT_KEY",  "PROG_LOAD",
                                             "OBJ_PIN",           "OBJ_GET",
                                             "PROG_ATTACH",       "PROG_DETACH",
                                             "PROG_TEST_RUN",     "PROG_GET_NEXT_ID",
                                             "MAP_GET_NEXT_ID",   "PROG_GET_FD_BY_ID",
                                             "MAP_GET_FD_BY_ID",  "OBJ_GET_INFO_BY_FD",
                                             "PROG_QUERY",        "RAW_TRACEPOINT_OPEN",
                                             "BTF_LOAD",          "BTF_GET_FD_BY_ID",
                                             "TASK_FD_QUERY",     "MAP_LOOKUP_AND_DELETE_ELEM",
                                             "MAP_FREEZE",        "BTF_GET_NEXT_ID",
                                             "MAP_LOOKUP_BATCH",  "MAP_LOOKUP_AND_DELETE_BATCH",
                                             "MAP_UPDATE_BATCH",  "MAP_DELETE_BATCH",
                                             "LINK_CREATE",       "LINK_UPDATE",
                                             "LINK_GET_FD_BY_ID", "LINK_GET_NEXT_ID",
                                             "ENABLE_STATS",      "ITER_CREATE",
                                             "LINK_DETACH",       "PROG_BIND_MAP",
                                             "TOKEN_CREATE",      "PROG_STREAM_READ_BY_FD"};
    return command >= 0 && command < static_cast<int>(std::size(kNames)) ? kNames[command]
                                                                         : "no command";
}

/// Resident memory.
std::uint64_t memory_kb() {
    ::malloc_trim(0);
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0, resident = 0;
    file >> pages >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// Folders of this process; gone with it.
class Workplace {
  public:
    Workplace() { valid_ = ::mkdtemp(path_.data()) != nullptr; }

    Workplace(const Workplace&) = delete;
    Workplace& operator=(const Workplace&) = delete;
    Workplace(Workplace&&) = delete;
    Workplace& operator=(Workplace&&) = delete;

    ~Workplace() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }

    [[nodiscard]] bool valid() const { return valid_; }

    [[nodiscard]] std::string object() const { return path_ + "/hostile.o"; }

    /// An empty folder for pins.
    [[nodiscard]] std::string pins() const {
        std::string folder = path_ + "/pins";
        std::error_code error;
        std::filesystem::remove_all(folder, error);
        std::filesystem::create_directory(folder, error);
        return folder;
    }

  private:
    std::string path_ = (std::filesystem::temp_directory_path() / "crema-calls-XXXXXX").string();
    bool valid_ = false;
};

std::size_t files_open_at_rest() {
    (void)xdp::event_board_fd();  // made once, and kept
    return crema::test::open_files();
}

class Campaign {
  public:
    explicit Campaign(Samples samples)
        : samples_(std::move(samples)), files_open_(files_open_at_rest()) {}

    [[nodiscard]] bool ready() const {
        return workplace_.valid() && arena_.valid() && !samples_.objects.empty();
    }

    /// False: something was left behind.
    [[nodiscard]] bool round(std::uint64_t seed, Tally& tally) {
        call(seed, tally);
        load(seed, tally);
        ++tally.rounds;
        const std::size_t objects = ebpf::syscall::object_store::size();
        const std::size_t files = crema::test::open_files();
        if (objects != 0 || files != files_open_) {
            fmt::print(stderr,
                       "call_fuzz: seed {} left {} objects, {} descriptors are open, not {}\n",
                       seed, objects, files, files_open_);
            return false;
        }
        return true;
    }

  private:
    void call(std::uint64_t seed, Tally& tally) {
        const std::string folder = workplace_.pins();
        if (!ebpf::syscall::pins::set_directory(folder)) {
            return;
        }
        {
            const ebpf::syscall::Session session;
            HostileCalls calls(seed, samples_, arena_, folder);
            for (int i = 0; i < kCallsPerRound; ++i) {
                const auto answer = calls.one();
                const std::string name = command_name(answer.command);
                ++tally.calls;
                ++tally.by_command[name];
                if (answer.result >= 0) {
                    ++tally.succeeded;
                    ++tally.succeeded_by_command[name];
                }
            }
        }
        ebpf::syscall::pins::clear();
    }

    void load(std::uint64_t seed, Tally& tally) {
        Dice dice(seed);
        for (int i = 0; i < kFilesPerRound; ++i) {
            Blob object = dice.pick(samples_.objects);
            damage(object, dice.pick(samples_.objects), dice.bits());
            std::ofstream(workplace_.object(), std::ios::binary | std::ios::trunc)
                .write(reinterpret_cast<const char*>(object.data()),
                       static_cast<std::streamsize>(object.size()));
            const auto judged = ebpf::loader::Object::judge(workplace_.object());
            ++tally.files;
            tally.files_loaded += judged ? 1U : 0U;
        }
    }

    Samples samples_;
    Arena arena_;
    Workplace workplace_;
    std::size_t files_open_;
};

int wrong_usage() {
    (void)std::fprintf(stderr,
                       "usage: call_fuzz OBJECT_FOLDER... [--calls N] [--seconds N] [--seed N] "
                       "[--record FILE --commit ID [--chunk N]]\n");
    return 2;
}

/// Whatever size a call asks for, the files of this process stay small.
void bound_this_process() {
    const rlimit file_size{256U << 20, 256U << 20};
    (void)::setrlimit(RLIMIT_FSIZE, &file_size);
    (void)std::signal(SIGXFSZ, SIG_IGN);  // an errno does
    const rlimit core{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &core);
}

/// Interfaces 1 to 3, for links: ports without anything behind them.
bool register_ports() {
    static const xdp::PortOps ops = {
        .mode = "test",
        .xmit = [](void*, std::uint32_t, const xdp::Frame*, std::uint32_t) { return 0U; },
        .attach_check = [](void*, bool) { return Status(); },
        .frame_bytes_max = [](void*) { return 1518U; },
        .is_up = [](void*) { return false; },
    };
    for (std::uint16_t port = 0; port < 3; ++port) {
        if (!xdp::register_port(port, ops, nullptr)) {
            return false;
        }
    }
    return true;
}

RecordLine line_of(const Tally& tally,
                   std::uint64_t first,
                   double seconds,
                   std::uint64_t kb_before,
                   std::uint64_t kb_after) {
    return {.first_seed = first,
            .next_seed = first + tally.rounds,
            .figures = {{"calls", tally.calls},
                        {"succeeded", tally.succeeded},
                        {"files", tally.files},
                        {"files_loaded", tally.files_loaded},
                        {"memory_kb_before", kb_before},
                        {"memory_kb_after", kb_after}},
            .seconds = seconds,
            .tables = {{"commands", tally.by_command},
                       {"commands_succeeded", tally.succeeded_by_command}}};
}

int run(const Request& request) {
    using Clock = std::chrono::steady_clock;
    bound_this_process();
    Campaign campaign(read_samples(request.folders));
    if (!register_ports() || !campaign.ready()) {
        (void)std::fputs("call_fuzz: no object in these folders, or no room for its files\n",
                         stderr);
        return 1;
    }
    const Record record(request.record, "calls", request.commit);
    const bool recorded = !request.record.empty();
    std::uint64_t seed =
        recorded && !request.seed_given ? record.next_seed(request.seed) : request.seed;
    // What libraries and caches take once is there after some rounds.
    Tally warm;
    for (std::uint64_t round = 0; round < 4; ++round) {
        if (!campaign.round(round, warm)) {
            return 1;
        }
    }
    const Clock::time_point begin = Clock::now();
    const auto since = [](Clock::time_point start) {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    for (std::uint64_t done = 0;
         done < request.number && (request.seconds == 0 || since(begin) < request.seconds);) {
        const Clock::time_point start = Clock::now();
        const std::uint64_t first = seed;
        const std::uint64_t kb_before = memory_kb();
        const std::uint64_t wanted = std::min(request.chunk, request.number - done);
        Tally chunk;
        while (chunk.calls < wanted && (request.seconds == 0 || since(begin) < request.seconds)) {
            if (!campaign.round(seed++, chunk)) {
                return 1;
            }
        }
        const std::uint64_t kb_after = memory_kb();
        fmt::print(
            "{} calls ({} succeeded), {} files ({} loaded), {:.1f} s, next seed {}, memory {} "
            "to {} KiB\n",
            chunk.calls, chunk.succeeded, chunk.files, chunk.files_loaded, since(start), seed,
            kb_before, kb_after);
        (void)std::fflush(stdout);
        if (kb_after > kb_before + kGrowthMaxKb) {
            (void)std::fputs("call_fuzz: memory grew\n", stderr);
            return 1;
        }
        if (recorded && !record.add(line_of(chunk, first, since(start), kb_before, kb_after))) {
            fmt::print(stderr, "call_fuzz: cannot write to {}\n", request.record);
            return 1;
        }
        done += chunk.calls;
    }
    return 0;
}

}  // namespace
}  // namespace crema::test::fuzz

int main(int argc, char** argv) {
    crema::test::fuzz::Request request{.unit = "--calls", .number = 20'000, .chunk = 500'000};
    if (!request.read(argc, argv) || request.folders.empty()) {
        return crema::test::fuzz::wrong_usage();
    }
    return crema::test::fuzz::run(request);
}
