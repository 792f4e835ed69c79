// SPDX-License-Identifier: BSD-3-Clause
//
// The ring wakes nobody (that would be a system call per line): the thread looks ten times a
// second.
#include "lib/ebpf/helpers/trace_writer.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "lib/ebpf/helpers/os_clock.h"
#include "lib/ebpf/helpers/trace_ring.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::chrono::milliseconds kPause{100};

class Writer {
  public:
    explicit Writer(std::FILE* file) : file_(file), thread_([this] { run(); }) {}

    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    ~Writer() {
        {
            const std::lock_guard lock(mutex_);
            is_stopping_ = true;
        }
        stop_.notify_one();
        thread_.join();
        (void)std::fclose(file_);
    }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        while (!is_stopping_) {
            stop_.wait_for(lock, kPause);
            write_all();
        }
    }

    void write_all() {
        while (drain_trace([this](const TraceLine& line) { write(line); }) != 0) {
        }
        if (const std::uint64_t lost = trace_lines_lost(); lost != lost_) {
            fmt::print(file_, "CREMA: {} lines lost\n", lost - lost_);
            lost_ = lost;
        }
        (void)std::fflush(file_);
    }

    void write(const TraceLine& line) {
        std::string_view text = line.text;
        if (text.ends_with('\n')) {
            text.remove_suffix(1);
        }
        fmt::print(file_, "{:>16}-{:<7} [{:03}] ..... {}.{:06}: bpf_trace_printk: {}\n", "crema",
                   line.thread, line.cpu < 0 ? 0 : line.cpu, line.time_ns / kNsPerSecond,
                   line.time_ns % kNsPerSecond / 1000, text);
    }

    std::FILE* file_;
    std::mutex mutex_;
    std::condition_variable stop_;
    bool is_stopping_ = false;
    std::uint64_t lost_ = 0;
    std::thread thread_;
};

}  // namespace

Status start_trace_writer() {
    const char* const path = std::getenv("CREMA_TRACE_PIPE");  // NOLINT(concurrency-mt-unsafe)
    if (path == nullptr || *path == '\0') {
        return {};
    }
    static std::mutex starting;
    static std::unique_ptr<Writer> writer;
    const std::lock_guard lock(starting);
    if (writer != nullptr) {
        return {};
    }
    std::FILE* const file = std::fopen(std::string_view(path) == "-" ? "/dev/stderr" : path, "ae");
    if (file == nullptr) {
        return fail(errno, "CREMA_TRACE_PIPE={}: errno {}", path, errno);
    }
    writer = std::make_unique<Writer>(file);
    return {};
}

}  // namespace crema::ebpf::helpers
