// SPDX-License-Identifier: BSD-3-Clause
//
// crema-testpmd: forwards between ethdev ports with an XDP program per port. This file is the main
// lcore: start, wait for time, signals and commands, end.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <poll.h>
#include <unistd.h>

#include "apps/common/eal.h"
#include "apps/common/exit_code.h"
#include "apps/common/metrics_server.h"
#include "apps/common/progress.h"
#include "apps/common/signals.h"
#include "apps/common/watch_service.h"
#include "apps/testpmd/commands.h"
#include "apps/testpmd/options.h"
#include "apps/testpmd/session.h"
#include "lib/ebpf/supervise/control_socket.h"
#include "lib/xdp/hook.h"

namespace crema::testpmd {
namespace {

constexpr int kTickMs = 100;

void say_error(const std::string& message) {
    (void)std::fprintf(stderr, "crema-testpmd: %s\n", message.c_str());
}

void print(const std::string& text) {
    (void)std::fwrite(text.data(), 1, text.size(), stdout);
    (void)std::fflush(stdout);
}

/// Something to do every so often; 0: never.
class Every {
  public:
    explicit Every(double period_s) : period_s_(period_s), next_s_(period_s) {}

    [[nodiscard]] bool is_due(double now_s) {
        if (period_s_ <= 0 || now_s < next_s_) {
            return false;
        }
        next_s_ = std::max(next_s_ + period_s_, now_s);
        return true;
    }

  private:
    double period_s_;
    double next_s_;
};

/// Lines of stdin, as they come, without waiting longer than a tick.
class Lines {
  public:
    /// Waits up to one tick. False at the end of the input.
    bool wait(std::vector<std::string>& lines) {
        pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        if (poll(&input, 1, kTickMs) <= 0 || (input.revents & (POLLIN | POLLHUP)) == 0) {
            return true;
        }
        std::array<char, 4096> bytes{};
        const ssize_t n = read(STDIN_FILENO, bytes.data(), bytes.size());
        if (n <= 0) {
            return false;
        }
        rest_.append(bytes.data(), static_cast<std::size_t>(n));
        for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
            lines.push_back(rest_.substr(0, end));
            rest_.erase(0, end + 1);
        }
        return true;
    }

  private:
    std::string rest_;
};

class Console {
  public:
    Console(Session& session, const Options& options)
        : session_(session),
          options_(options),
          stats_(options.stats_period_s),
          shows_progress_(!options.interactive),
          shown_(progress_period()) {}

    /// False: quit.
    bool command(const std::string& line) {
        const Reply reply = [&] {
            const std::scoped_lock turn(session_.turn());
            return run_command(session_, line);
        }();
        if (!reply.text.empty()) {
            progress_.finish();
            print(reply.text);
        }
        any_failed_ = any_failed_ || reply.failed;
        return !reply.quit;
    }

    /// Runs until time, signal or command ends it.
    void run() {
        if (options_.interactive) {
            prompt();
        }
        while (app::end_signal() == 0 && !is_over()) {
            if (!read_commands()) {
                break;
            }
            tick();
        }
        progress_.finish();
    }

    [[nodiscard]] bool any_failed() const { return any_failed_; }

  private:
    [[nodiscard]] double progress_period() const {
        if (!shows_progress_) {
            return 0;
        }
        return options_.stats_period_s > 0 ? options_.stats_period_s
                                           : (progress_.is_terminal() ? 1.0 : 10.0);
    }

    [[nodiscard]] bool is_over() const {
        return options_.duration_s > 0 && session_.seconds() >= options_.duration_s;
    }

    static void prompt() {
        if (isatty(STDIN_FILENO) == 1) {
            print("testpmd> ");
        }
    }

    bool read_commands() {
        if (!options_.interactive) {
            usleep(kTickMs * 1000);
            return true;
        }
        std::vector<std::string> lines;
        const bool more = input_.wait(lines);
        for (const std::string& line : lines) {
            if (!command(line)) {
                return false;
            }
            prompt();
        }
        return more;
    }

    void tick() {
        const std::scoped_lock turn(session_.turn());
        session_.restart_ports();
        const double now_s = session_.seconds();
        if (stats_.is_due(now_s)) {
            const app::Snapshot all = session_.snapshot();
            progress_.finish();
            print(options_.json ? app::to_json(all) + "\n" : app::to_table(all));
        }
        if (shown_.is_due(now_s)) {
            progress_.show(session_.progress_line());
        }
    }

    Session& session_;
    const Options& options_;
    app::Progress progress_;
    Lines input_;
    Every stats_;
    bool shows_progress_;
    Every shown_;
    bool any_failed_ = false;
};

/// Runs the lines of --cmdline-file. False: quit, or the file cannot be read.
bool run_command_file(Console& console, const std::string& path, Status& status) {
    std::ifstream file(path);
    if (!file) {
        status = fail(ENOENT, "cannot read {}", path);
        return false;
    }
    for (std::string line; std::getline(file, line);) {
        if (!console.command(line)) {
            return false;
        }
    }
    return true;
}

Status forward(Session& session, const Options& options) {
    if (!options.interactive || options.auto_start) {
        const std::scoped_lock turn(session.turn());
        if (Status done = session.start(); !done) {
            return done;
        }
    }
    Console console(session, options);
    Status status;
    if (options.command_file.empty() || run_command_file(console, options.command_file, status)) {
        console.run();
    }
    return status;
}

/// Who looks at the session, and changes it, from outside.
class Watchers {
  public:
    [[nodiscard]] Status start(Session& session, const Options& options) {
        const auto snapshot = [&session] {
            const std::scoped_lock turn(session.turn());
            return session.snapshot();
        };
        if (!options.metrics.empty()) {
            auto metrics = app::MetricsServer::listen(
                options.metrics,
                [snapshot](app::MetricsForm form) { return to_metrics(snapshot(), form); });
            if (!metrics) {
                return fail(metrics.error().code, "--metrics {}", metrics.error().message);
            }
            metrics_ = std::move(*metrics);
            (void)std::fprintf(stderr, "crema-testpmd: metrics at %s\n",
                               metrics_->address().c_str());
        }
        if (options.bpf_socket.empty()) {
            return {};
        }
        auto service = app::WatchService::start(snapshot);
        if (!service) {
            return forward_error(service);
        }
        service_ = std::move(*service);
        auto listening = ebpf::supervise::ControlSocket::listen(
            options.bpf_socket,
            [&watch = *service_](UniqueFd connection) { watch.take(std::move(connection)); });
        if (!listening) {
            return forward_error(listening);
        }
        socket_ = std::move(*listening);
        return {};
    }

  private:
    std::unique_ptr<app::MetricsServer> metrics_;
    std::unique_ptr<app::WatchService> service_;
    std::unique_ptr<ebpf::supervise::ControlSocket> socket_;  // goes first: it feeds the service
};

int finish(Session& session, const Options& options, const Status& status) {
    std::string missing;
    const app::Snapshot last = session.close(&missing);
    print(options.json ? app::to_json(last) + "\n" : app::to_table(last));
    if (!status) {
        say_error(status.error().message);
        return app::kFailed;
    }
    if (last.buffers_missing != 0) {
        say_error(fmt::format("{} buffers did not come home: {}", last.buffers_missing, missing));
        return app::kFailed;
    }
    return app::kDone;
}

int run(const Options& options) {
    auto session = Session::open(options);
    if (!session) {
        say_error(session.error().message);
        return app::kFailed;
    }
    Status status;
    {
        // Before the ports go, nobody may use them from outside any more.
        Watchers watchers;
        status = watchers.start(**session, options);
        if (status) {
            status = forward(**session, options);
        }
    }
    return finish(**session, options, status);
}

int main_of(int argc, char** argv) {
    const app::CommandLine line = app::split_command_line(argc, argv);
    const bool asks_help = std::any_of(line.eal.begin(), line.eal.end(), [](const auto& word) {
        return word == "--help" || word == "-h";
    });
    if (asks_help) {
        print(usage());
        return app::kDone;
    }
    if (std::find(line.eal.begin(), line.eal.end(), "--version") != line.eal.end()) {
        const auto version = parse_options({"--version"});
        print(version.error().text);
        return version.error().exit_code;
    }
    const auto options = parse_options(line.program);
    if (!options) {
        if (options.error().exit_code == app::kDone) {
            print(options.error().text);
        } else {
            (void)std::fprintf(stderr, "%s\n", options.error().text.c_str());
        }
        return options.error().exit_code;
    }
    app::catch_end_signals();
    xdp::set_first_ifindex(options->first_ifindex);
    int code = app::kFailed;
    if (const Status started = app::start_eal(line.eal); started) {
        code = run(*options);
    } else {
        say_error(started.error().message);
        code = started.error().code == EINVAL ? app::kUsage : app::kFailed;
    }
    app::end_eal();
    return code;
}

}  // namespace
}  // namespace crema::testpmd

int main(int argc, char** argv) {
    return crema::testpmd::main_of(argc, argv);
}
