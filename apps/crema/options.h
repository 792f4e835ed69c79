// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of `crema`: which verb, with which options. Every option of every verb is
// declared in options.cpp, the only file here that includes CLI11.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "apps/common/map_entries.h"
#include "lib/topology/plan.h"

namespace crema::command {

/// What all verbs of `crema xdp` share.
struct ObjectOptions {
    std::string object;
    std::string program;  // empty: all (verify, disasm), or the first that attaches to a port
    bool json = false;
};

struct VerifyOptions : ObjectOptions {
    std::uint32_t log_level = 1;  // as in bpf(2): 1, 2, 4 and their sums; 0: none
    bool log_always = false;      // --log was given: also of accepted programs
};

struct DisasmOptions : ObjectOptions {
    bool bpf = false;  // nothing chosen: everything
    bool lowered = false;
    bool native = false;
};

/// What `run` and `bench` need besides: packets and map entries.
struct RunOptions : ObjectOptions {
    std::string in;   // pcap
    std::string out;  // pcap; empty: none
    std::uint32_t repeat = 1;
    std::uint32_t ifindex = 1;
    bool show_packets = false;
    bool show_maps = false;
    std::vector<app::MapSetting> settings;
};

struct BenchOptions : ObjectOptions {
    std::string in;           // pcap; empty: one made packet
    std::uint32_t size = 64;  // bytes of the made packet, without FCS
    double seconds = 2;       // for all measurements of one program together
    std::vector<app::MapSetting> settings;
};

/// crema bpf
struct BpfOptions {
    std::vector<std::string> command;
    std::string to;  // socket of a running data path; empty: served here
    bool verbose = false;
};

/// crema neta probe
struct ProbeOptions {
    std::string device;  // as device= of net_neta
    std::string wire;    // of the model in this process
    std::string cache;   // of the model in this process
    std::string vfio;    // "group" or "iommufd", as vfio= of net_neta
    bool allow_noiommu = false;
    bool keep_windows = false;  // as windows=keep of net_neta
    unsigned frames = 1024;     // through loopback
    unsigned rounds = 256;      // of each question about caches
    bool json = false;
};

/// What works on a running data path.
struct RemoteOptions {
    std::string to;  // its socket
    bool json = false;
    bool pretty = false;  // JSON, indented
};

/// crema map
struct MapOptions : RemoteOptions {
    enum class What : std::uint8_t {
        show,
        dump,
        lookup,
        update,
        erase,
        next_key,
        create,
        pin,
        push,
        pop,
        peek,
        freeze
    };
    What what = What::show;
    std::string map;  // number, name or path; empty (show): all
    std::string key;
    std::string value;
    std::string path;         // of the pin
    std::uint64_t flags = 0;  // BPF_ANY, BPF_NOEXIST, BPF_EXIST
    // create
    std::string type;
    std::string name;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t max_entries = 0;
    std::uint32_t map_flags = 0;
};

/// crema xdp attach, detach, status
struct AttachOptions : RemoteOptions {
    enum class What : std::uint8_t { attach, detach, status };
    What what = What::status;
    std::string port;
    // attach
    std::vector<std::string> objects;  // OBJECT[:PROGRAM][,prio=N][,chain-call=LIST]
    std::string program;               // empty: what the objects say
    std::string mode;                  // "native", "generic"; empty: the port's
    std::optional<std::uint32_t> priority;
    std::optional<std::uint32_t> actions;     // as ebpf::RunConfig::actions
    std::optional<std::uint32_t> instead_of;  // number of a program that leaves
    bool replace = false;
    // detach
    std::optional<std::uint32_t> id;
    bool all = false;
};

/// crema stats
struct StatsOptions : RemoteOptions {
    std::vector<std::string> what;  // sections; empty: all
    double interval_s = 0;          // 0: once
    std::uint64_t count = 0;        // documents; 0: until told
    bool count_runs = false;
};

/// crema monitor
struct MonitorOptions : RemoteOptions {
    double interval_s = 1;    // of summaries
    std::uint64_t count = 0;  // of them; 0: until told
    bool all_events = false;  // not only the first of an interval
};

/// crema dump
struct DumpOptions : RemoteOptions {
    std::string port;                   // name or ifindex; empty: all
    std::vector<std::string> programs;  // names or numbers; empty: those on the port
    bool list = false;
    bool at_entry = true;
    bool at_exit = false;
    std::string out;  // file, or "-"; empty: lines
    bool hex = false;
    std::uint32_t snap_bytes = 262144;
    std::uint64_t ring_bytes = 4U << 20U;  // per worker
    std::uint64_t count = 0;               // frames; 0: until told
    std::string filter;                    // as in pcap-filter(7)
    std::string filter_digits;             // the same, compiled
};

/// crema topology
struct TopologyOptions {
    std::vector<topology::QueueToPoll> queues;
    topology::PlanOptions plan;
    std::optional<std::vector<std::uint32_t>> isolated;  // none: as the kernel says
    bool json = false;
};

using Verb = std::variant<VerifyOptions,
                          DisasmOptions,
                          RunOptions,
                          BenchOptions,
                          BpfOptions,
                          ProbeOptions,
                          MapOptions,
                          AttachOptions,
                          StatsOptions,
                          MonitorOptions,
                          DumpOptions,
                          TopologyOptions>;

/// What to do instead of running a verb.
struct Early {
    int exit_code;
    std::string text;  // to stdout when exit_code is 0, else to stderr
};

/// words: without argv[0]. The error branch is for help, version and wrong usage (one line).
[[nodiscard]] tl::expected<Verb, Early> parse_command_line(const std::vector<std::string>& words);

}  // namespace crema::command
