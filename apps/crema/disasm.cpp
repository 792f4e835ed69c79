// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp disasm: prints listings (listing.h).
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/crema/listing.h"
#include "apps/crema/output.h"
#include "apps/crema/verbs.h"

namespace crema::command {
namespace {

using ebpf::loader::JudgedProgram;
using Json = nlohmann::ordered_json;

/// Which levels are shown.
struct Levels {
    bool bpf;
    bool lowered;
    bool native;
};

Levels levels_of(const DisasmOptions& options) {
    if (!options.bpf && !options.lowered && !options.native) {
        return {.bpf = true, .lowered = true, .native = true};
    }
    return {.bpf = options.bpf, .lowered = options.lowered, .native = options.native};
}

void put_native(std::string& out, const std::vector<NativeInsn>& insns) {
    for (const NativeInsn& insn : insns) {
        fmt::format_to(std::back_inserter(out), "                    {:6x}: {}\n", insn.offset,
                       insn.text);
    }
}

void put_lowered(std::string& out, const std::vector<LoweredLine>& lines, const Levels& levels) {
    for (const LoweredLine& line : lines) {
        if (levels.lowered) {
            fmt::format_to(std::back_inserter(out), "          {:6}| {}{}\n", line.slot, line.text,
                           line.count > 1 ? fmt::format("   ({} times)", line.count) : "");
        }
        if (levels.native && (line.count == 1 || !levels.lowered)) {
            put_native(out, line.native);
        }
    }
}

void put_function(std::string& out, const FunctionListing& function, const Levels& levels) {
    fmt::format_to(std::back_inserter(out), "\nfunction {}, slots {} to {}", function.name,
                   function.first, function.end - 1);
    if (function.native_bytes != 0) {
        fmt::format_to(std::back_inserter(out), ", lowered to {}, {} bytes of machine code",
                       function.lowered_insns, function.native_bytes);
    }
    out += ":\n";
    for (const BpfLine& line : function.lines) {
        if (levels.bpf && line.source != nullptr) {
            fmt::format_to(std::back_inserter(out), "; {} @ {}:{}\n", line.source->text,
                           line.source->file, line.source->line);
        }
        if (levels.bpf) {
            fmt::format_to(std::back_inserter(out), "{:6}: {}{}\n", line.slot, line.text,
                           line.reachable ? "" : "   <- never reached");
        }
        put_lowered(out, line.lowered, levels);
    }
    if (levels.native && !function.prologue.empty()) {
        out += "its prologue:\n";
        put_native(out, function.prologue);
    }
    if ((levels.lowered || levels.native) && !function.around.empty()) {
        out += "for no instruction of it (jump padding, frame, the one exit):\n";
        put_lowered(out, function.around, levels);
    }
    if (levels.native && !function.unmapped.empty()) {
        out += "machine code, which could not be mapped to instructions:\n";
        put_native(out, function.unmapped);
    }
}

std::string to_text(const JudgedProgram& judged, const Listing& listing, const Levels& levels) {
    const auto& judgement = judged.judgement;
    std::string out = fmt::format("program {} ({}): {} instructions", judged.name, judged.section,
                                  judged.program().insns.size());
    if (judgement.loaded != nullptr) {
        out += fmt::format(", stack {} bytes\n", listing.stack_bytes);
    } else {
        out += ", refused\n";
    }
    for (const FunctionListing& function : listing.functions) {
        put_function(out, function, levels);
    }
    return out + "\n";
}

Json native_json(const std::vector<NativeInsn>& insns) {
    Json out = Json::array();
    for (const NativeInsn& insn : insns) {
        out.push_back({{"offset", insn.offset}, {"bytes", hex(insn.bytes)}, {"text", insn.text}});
    }
    return out;
}

Json lowered_json(const std::vector<LoweredLine>& lines, const Levels& levels) {
    Json out = Json::array();
    for (const LoweredLine& line : lines) {
        Json one = {{"slot", line.slot}, {"count", line.count}, {"text", line.text}};
        if (levels.native) {
            one["native"] = native_json(line.native);
        }
        out.push_back(std::move(one));
    }
    return out;
}

Json function_json(const FunctionListing& function, const Levels& levels) {
    Json lines = Json::array();
    for (const BpfLine& line : function.lines) {
        Json one = {{"slot", line.slot}, {"text", line.text}, {"reachable", line.reachable}};
        if (line.source != nullptr) {
            one["source"] = {{"file", line.source->file},
                             {"line", line.source->line},
                             {"text", line.source->text}};
        }
        if (levels.lowered || levels.native) {
            one["lowered"] = lowered_json(line.lowered, levels);
        }
        lines.push_back(std::move(one));
    }
    Json out = {{"name", function.name},
                {"first", function.first},
                {"end", function.end},
                {"instructions", std::move(lines)}};
    if (function.native_bytes != 0) {
        out["lowered_instructions"] = function.lowered_insns;
        out["native_bytes"] = function.native_bytes;
        if (levels.lowered || levels.native) {
            out["around"] = lowered_json(function.around, levels);
        }
        if (levels.native) {
            out["prologue"] = native_json(function.prologue);
            out["unmapped"] = native_json(function.unmapped);
        }
    }
    return out;
}

Json to_json(const JudgedProgram& judged, const Listing& listing, const Levels& levels) {
    Json functions = Json::array();
    for (const FunctionListing& function : listing.functions) {
        functions.push_back(function_json(function, levels));
    }
    Json out = {{"name", judged.name},
                {"section", judged.section},
                {"verdict", judged.judgement.loaded != nullptr ? "accepted" : "refused"},
                {"functions", std::move(functions)}};
    if (judged.judgement.loaded != nullptr) {
        out["stack_bytes"] = listing.stack_bytes;
    }
    return out;
}

Status disassemble(const DisasmOptions& options) {
    const auto object = ebpf::loader::Object::judge(options.object);
    if (!object) {
        return forward_error(object);
    }
    const auto programs = chosen(*object, options);
    if (!programs) {
        return forward_error(programs);
    }
    const Levels levels = levels_of(options);
    Json document = {{"object", options.object}, {"programs", Json::array()}};
    for (const JudgedProgram* judged : *programs) {
        const auto listing = make_listing(judged->program(), judged->judgement.loaded != nullptr);
        if (!listing) {
            return forward_error(listing);
        }
        if (options.json) {
            document["programs"].push_back(to_json(*judged, *listing, levels));
        } else {
            print(to_text(*judged, *listing, levels));
        }
        if (judged->judgement.refusal && !levels.bpf) {
            return tl::unexpected<Error>(*judged->judgement.refusal);  // nothing to show of it
        }
    }
    if (options.json) {
        print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    return {};
}

}  // namespace

int run_verb(const DisasmOptions& options) {
    if (const Status done = disassemble(options); !done) {
        say_error(done.error().message);
        return app::kFailed;
    }
    return app::kDone;
}

}  // namespace crema::command
