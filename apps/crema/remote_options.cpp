// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/remote_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <string>

#include "lib/ebpf/program/run_config.h"

namespace crema::command {
namespace {

using MapWhat = MapOptions::What;
using AttachWhat = AttachOptions::What;

enum class Wants : std::uint8_t { nothing, maybe, always };

/// One verb of `crema map`.
struct MapVerb {
    const char* name;
    const char* other_name;  // bpftool has it; or null
    const char* about;
    const char* example;  // behind "crema map"
    MapWhat what;
    Wants map = Wants::always;
    Wants key = Wants::nothing;
    Wants value = Wants::nothing;
    Wants path = Wants::nothing;
};

constexpr MapVerb kMapVerbs[] = {
    {.name = "show",
     .other_name = "list",
     .about = "List maps, or one",
     .example = "show",
     .what = MapWhat::show,
     .map = Wants::maybe},
    {.name = "dump",
     .other_name = nullptr,
     .about = "Show all entries",
     .example = "dump tx_port",
     .what = MapWhat::dump},
    {.name = "lookup",
     .other_name = nullptr,
     .about = "Show one entry",
     .example = "lookup tx_port 32",
     .what = MapWhat::lookup,
     .key = Wants::always},
    {.name = "update",
     .other_name = nullptr,
     .about = "Set an entry",
     .example = "update tx_port 32 33",
     .what = MapWhat::update,
     .key = Wants::always,
     .value = Wants::always},
    {.name = "delete",
     .other_name = nullptr,
     .about = "Remove an entry",
     .example = "delete tx_port 32",
     .what = MapWhat::erase,
     .key = Wants::always},
    {.name = "getnext",
     .other_name = nullptr,
     .about = "Show the key behind a key, or the first one",
     .example = "getnext tx_port 32",
     .what = MapWhat::next_key,
     .key = Wants::maybe},
    {.name = "create",
     .other_name = nullptr,
     .about = "Make a map and pin it",
     .example = "create blocked --type hash --key 4 --value 8 --entries 1024",
     .what = MapWhat::create,
     .map = Wants::nothing,
     .path = Wants::always},
    {.name = "pin",
     .other_name = nullptr,
     .about = "Give a map a place in the BPF file system, which keeps it",
     .example = "pin tx_port /sys/fs/bpf/ports",
     .what = MapWhat::pin,
     .path = Wants::always},
    {.name = "push",
     .other_name = "enqueue",
     .about = "Put a value on a stack or into a queue",
     .example = "push waiting 7",
     .what = MapWhat::push,
     .value = Wants::always},
    {.name = "pop",
     .other_name = "dequeue",
     .about = "Take the next value of a stack or queue",
     .example = "pop waiting",
     .what = MapWhat::pop},
    {.name = "peek",
     .other_name = nullptr,
     .about = "Show the next value of a stack or queue",
     .example = "peek waiting",
     .what = MapWhat::peek},
    {.name = "freeze",
     .other_name = nullptr,
     .about = "Refuse changes from user space from now on",
     .example = "freeze tx_port",
     .what = MapWhat::freeze},
};

CLI::App* add_remote(CLI::App& parent,
                     const char* name,
                     const char* about,
                     const std::string& example,
                     RemoteOptions& options) {
    CLI::App* verb = parent.add_subcommand(name, about);
    verb->footer("Example: crema " + example + " --to bpf.sock\n" + kExits);
    verb->add_option("--to", options.to, "socket of the running data path (--bpf-socket)")
        ->required();
    verb->add_flag("-j,--json", options.json, "bpftool's JSON on stdout");
    verb->add_flag("-p,--pretty", options.pretty, "the same, indented");
    return verb;
}

void add_word(CLI::App& verb, const char* name, std::string& to, const char* about, Wants wants) {
    if (wants != Wants::nothing) {
        verb.add_option(name, to, about)->required(wants == Wants::always);
    }
}

void add_new_map(CLI::App& verb, MapOptions& options) {
    verb.add_option("--type", options.type, "as bpftool calls it: hash, lru_percpu_hash, ...")
        ->required();
    verb.add_option("--key", options.key_bytes, "bytes of a key");
    verb.add_option("--value", options.value_bytes, "bytes of a value");
    verb.add_option("--entries", options.max_entries, "how many there may be")->required();
    verb.add_option("--name", options.name, "default: the last part of PIN");
    verb.add_option("--flags", options.map_flags, "BPF_F_*, as a number");
}

}  // namespace

RemoteVerbs::RemoteVerbs() : map_(std::size(kMapVerbs)), attach_(3) {}

void RemoteVerbs::declare_map(CLI::App& app) {
    CLI::App& map = *app.add_subcommand("map", "Maps of a running data path");
    map.footer(std::string("Example: crema map show --to bpf.sock\n") + kExits);
    map.require_subcommand(1);
    for (std::size_t i = 0; i < std::size(kMapVerbs); ++i) {
        const MapVerb& one = kMapVerbs[i];
        MapOptions& options = map_[i];
        options.what = one.what;
        CLI::App* verb =
            add_remote(map, one.name, one.about, std::string("map ") + one.example, options);
        if (one.other_name != nullptr) {
            verb->alias(one.other_name);
        }
        add_word(*verb, "MAP", options.map, "its number, its name or the path of its pin", one.map);
        add_word(*verb, "KEY", options.key, "number or hex:BYTES", one.key);
        add_word(*verb, "VALUE", options.value,
                 "number or hex:BYTES; per-CPU maps get it on every CPU", one.value);
        add_word(*verb, "PIN", options.path, "a path below /sys/fs/bpf, or a name there", one.path);
        if (one.what == MapWhat::update || one.what == MapWhat::push) {
            const std::map<std::string, std::uint64_t> flags = {
                {"any", 0}, {"noexist", 1}, {"exist", 2}};
            verb->add_option("--if", options.flags, "any, noexist, exist")
                ->transform(CLI::CheckedTransformer(flags));
        }
        if (one.what == MapWhat::create) {
            add_new_map(*verb, options);
        }
        map_verbs_.push_back(verb);
    }
}

void RemoteVerbs::declare_attach(CLI::App& xdp) {
    for (const AttachWhat what : {AttachWhat::attach, AttachWhat::detach, AttachWhat::status}) {
        attach_[static_cast<std::size_t>(what)].what = what;
    }
    AttachOptions& attach = attach_[static_cast<std::size_t>(AttachWhat::attach)];
    CLI::App* verb = add_remote(
        xdp, "attach",
        "Load programs into a running data path and attach them to a port, beside those there",
        "xdp attach net_neta0 build/bpf/drop.bpf.o --prio 10", attach);
    verb->add_option("PORT", attach.port, "its name or its ifindex")->required();
    verb->add_option("OBJECT", attach.objects,
                     "BPF object files: OBJECT[:PROGRAM][,prio=N][,chain-call=VERDICT,...]")
        ->required();
    verb->add_option("--program", attach.program, "default: the first that attaches to a port");
    verb->add_option("--prio", attach.priority, "the least runs first; default: the object's, 50");
    verb->add_option_function<std::string>(
            "--chain-call",
            [&attach](const std::string& text) { attach.actions = *ebpf::actions_of(text); },
            "verdicts after which the next program runs: pass,tx,... or none; default: the "
            "object's, pass")
        ->check([](const std::string& text) {
            const auto actions = ebpf::actions_of(text);
            return actions ? std::string() : actions.error().message;
        });
    verb->add_option("--mode", attach.mode, "native or generic; default: the port's")
        ->check(CLI::IsMember({"native", "generic"}));
    CLI::Option* const replace =
        verb->add_flag("--replace", attach.replace, "in place of all that is attached");
    verb->add_option("--instead-of", attach.instead_of, "number of a program that leaves for it")
        ->excludes(replace);
    attach_verbs_.push_back(verb);
    AttachOptions& detach = attach_[static_cast<std::size_t>(AttachWhat::detach)];
    verb = add_remote(xdp, "detach", "Take programs off a port of a running data path",
                      "xdp detach net_neta0 --id 7", detach);
    verb->add_option("PORT", detach.port, "its name or its ifindex")->required();
    CLI::Option* const all = verb->add_flag("--all", detach.all, "whatever is attached");
    verb->add_option("--id", detach.id, "the program with this number")->excludes(all);
    attach_verbs_.push_back(verb);
    verb = add_remote(xdp, "status", "Show the ports of a running data path and their programs",
                      "xdp status", attach_[static_cast<std::size_t>(AttachWhat::status)]);
    verb->alias("list");
    attach_verbs_.push_back(verb);
}

void RemoteVerbs::declare(CLI::App& app, CLI::App& xdp) {
    declare_attach(xdp);
    declare_map(app);
}

std::optional<Verb> RemoteVerbs::named(const CLI::App& verb) const {
    const auto pick = [&verb](const auto& options, const auto& verbs) -> std::optional<Verb> {
        const auto found = std::find(verbs.begin(), verbs.end(), &verb);
        return found == verbs.end()
                   ? std::nullopt
                   : std::optional<Verb>(options[static_cast<std::size_t>(found - verbs.begin())]);
    };
    auto of_map = pick(map_, map_verbs_);
    return of_map ? std::move(of_map) : pick(attach_, attach_verbs_);
}

}  // namespace crema::command
