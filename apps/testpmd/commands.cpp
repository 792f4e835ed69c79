// SPDX-License-Identifier: BSD-3-Clause
#include "apps/testpmd/commands.h"

#include <array>
#include <charconv>
#include <span>
#include <vector>

#include "lib/xdp/attach.h"

namespace crema::testpmd {
namespace {

using Words = std::span<const std::string>;

constexpr char kHelp[] =
    "start                                   forward\n"
    "stop                                    stop forwarding\n"
    "show port stats all                     statistics\n"
    "show port xstats all                    extended statistics\n"
    "show xdp                                programs and verdicts per port\n"
    "xdp attach PORT|all OBJECT[:PROGRAM]    attach, or replace under traffic\n"
    "xdp add PORT|all OBJECT[:PROGRAM]       attach beside what is there; with ,prio=N and\n"
    "                                        ,chain-call=VERDICT,... behind it in its place\n"
    "xdp detach PORT|all                     detach\n"
    "xdp remove PORT ID                      detach one program\n"
    "map dump NAME                           entries of a map\n"
    "map update NAME KEY VALUE               set an entry, as --map NAME:KEY=VALUE\n"
    "port mtu PORT BYTES                     change the MTU\n"
    "help                                    this text\n"
    "quit                                    end\n";

Reply failed(const Error& error) {
    return {.text = fmt::format("error: {}\n", error.message), .quit = false, .failed = true};
}

Reply answer(const Status& status) {
    return status ? Reply{} : failed(status.error());
}

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    constexpr std::string_view kBlanks = " \t\r\n";
    for (auto at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const auto end = line.find_first_of(kBlanks, at);
        words.emplace_back(line.substr(at, end - at));
        at = end == std::string_view::npos ? end : line.find_first_not_of(kBlanks, end);
    }
    return words;
}

Result<std::vector<std::uint16_t>> ports_of(const Session& session, const std::string& word) {
    if (word == "all") {
        return session.port_ids();
    }
    const auto port_id = app::port_of(word);
    if (!port_id) {
        return forward_error(port_id);
    }
    return std::vector<std::uint16_t>{*port_id};
}

Reply do_start(Session& session, Words /*words*/) {
    return answer(session.start());
}

Reply do_stop(Session& session, Words /*words*/) {
    session.stop();
    return {};
}

Reply do_stats(Session& session, Words /*words*/) {
    return {.text = app::to_table(session.snapshot())};
}

Reply do_xstats(Session& session, Words /*words*/) {
    Reply reply;
    for (const app::PortSnapshot& port : session.snapshot().ports) {
        fmt::format_to(std::back_inserter(reply.text), "port {} {}\n", port.port_id, port.name);
        for (const auto& [name, value] : port.xstats) {
            fmt::format_to(std::back_inserter(reply.text), "  {}: {}\n", name, value);
        }
    }
    return reply;
}

Reply do_xdp(Session& session, Words /*words*/) {
    Reply reply;
    for (const app::PortSnapshot& port : session.snapshot().ports) {
        const xdp::VerdictCounters& own = port.verdicts;
        fmt::format_to(std::back_inserter(reply.text),
                       "port {} {} {}: {} id {} pass {} drop {} tx {} tx_errors {} redirect {} "
                       "redirect_errors {} aborted {}\n",
                       port.port_id, port.name, port.mode,
                       port.program.empty() ? "no program" : port.program,
                       port.programs.empty() ? 0 : port.programs.front().id, own.pass, own.drop,
                       own.tx, own.tx_errors, own.redirect, own.redirect_errors, own.aborted);
        for (const app::ProgramSnapshot& each : port.programs) {
            fmt::format_to(std::back_inserter(reply.text), "  prio {} {} id {} chain-call {}\n",
                           each.priority, each.name, each.id,
                           each.actions.empty() ? "none" : each.actions);
        }
    }
    return reply;
}

Reply attach_or_add(Session& session, Words words, app::Programs::How how) {
    auto spec = app::ProgramSpec::parse(words[1]);
    if (!spec) {
        return failed(spec.error());
    }
    if (spec->port) {
        return failed({EINVAL, "the port comes before the object: xdp attach PORT OBJECT"});
    }
    if (words[0] != "all") {
        spec->port = words[0];
    }
    return answer(session.attach(*spec, how));
}

Reply do_attach(Session& session, Words words) {
    return attach_or_add(session, words, app::Programs::How::alone);
}

Reply do_add(Session& session, Words words) {
    return attach_or_add(session, words, app::Programs::How::joined);
}

Reply do_remove(Session& session, Words words) {
    const auto port_id = app::port_of(words[0]);
    if (!port_id) {
        return failed(port_id.error());
    }
    const auto id = app::integer_of(words[1]);
    if (!id || *id > UINT32_MAX) {
        return failed({EINVAL, fmt::format("'{}' is no number of a program", words[1])});
    }
    return answer(session.programs().detach(*port_id, static_cast<std::uint32_t>(*id)));
}

Reply do_detach(Session& session, Words words) {
    const auto ports = ports_of(session, words[0]);
    if (!ports) {
        return failed(ports.error());
    }
    for (const std::uint16_t port_id : *ports) {
        // "all" means those that have one
        if (words[0] == "all" && xdp::attached(port_id) == nullptr) {
            continue;
        }
        if (const Status done = session.programs().detach(port_id); !done) {
            return failed(done.error());
        }
    }
    return {};
}

Reply do_dump(Session& session, Words words) {
    auto text = session.programs().dump(words[0]);
    return text ? Reply{.text = std::move(*text)} : failed(text.error());
}

Reply do_update(Session& session, Words words) {
    return answer(session.programs().set({.map = words[0], .key = words[1], .value = words[2]}));
}

Reply do_mtu(Session& session, Words words) {
    const auto port_id = app::port_of(words[0]);
    if (!port_id) {
        return failed(port_id.error());
    }
    std::uint16_t mtu = 0;
    const std::string& text = words[1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mtu);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return failed({EINVAL, fmt::format("'{}' is no MTU", text)});
    }
    return answer(session.set_mtu(*port_id, mtu));
}

Reply do_help(Session& /*session*/, Words /*words*/) {
    return {.text = kHelp};
}

Reply do_quit(Session& /*session*/, Words /*words*/) {
    return {.text = {}, .quit = true};
}

/// A command is its fixed words and a number of arguments.
struct Command {
    std::string_view words;
    std::size_t arguments;
    Reply (*run)(Session& session, Words arguments);
};

constexpr std::array kCommands = {
    Command{"start", 0, do_start},
    Command{"stop", 0, do_stop},
    Command{"show port stats all", 0, do_stats},
    Command{"show port xstats all", 0, do_xstats},
    Command{"show xdp", 0, do_xdp},
    Command{"xdp attach", 2, do_attach},
    Command{"xdp add", 2, do_add},
    Command{"xdp detach", 1, do_detach},
    Command{"xdp remove", 2, do_remove},
    Command{"map dump", 1, do_dump},
    Command{"map update", 3, do_update},
    Command{"port mtu", 2, do_mtu},
    Command{"help", 0, do_help},
    Command{"quit", 0, do_quit},
};

bool begins_with(Words line, const std::vector<std::string>& fixed) {
    return line.size() >= fixed.size() && std::equal(fixed.begin(), fixed.end(), line.begin());
}

}  // namespace

Reply run_command(Session& session, std::string_view line) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) {
        return {};
    }
    for (const Command& command : kCommands) {
        const std::vector<std::string> fixed = words_of(command.words);
        if (begins_with(words, fixed) && words.size() == fixed.size() + command.arguments) {
            return command.run(session, Words(words).subspan(fixed.size()));
        }
    }
    return failed({EINVAL, fmt::format("no such command: '{}'; try help", line)});
}

}  // namespace crema::testpmd
