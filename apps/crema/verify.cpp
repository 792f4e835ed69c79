// SPDX-License-Identifier: BSD-3-Clause
//
// crema xdp verify: every program of an object is judged for itself, as a load would judge it.
#include <nlohmann/json.hpp>

#include "apps/common/exit_code.h"
#include "apps/crema/output.h"
#include "apps/crema/verbs.h"

namespace crema::command {
namespace {

using ebpf::loader::JudgedProgram;
using Json = nlohmann::ordered_json;

bool is_accepted(const JudgedProgram& judged) {
    return judged.judgement.loaded != nullptr;
}

bool shows_log(const VerifyOptions& options, const JudgedProgram& judged) {
    return options.log_level != 0 && (options.log_always || !is_accepted(judged));
}

/// Interpreted: where the processor has no code generator, or CREMA_JIT=off asks for it.
const char* engine_of(const ebpf::LoadedProgram& program) {
    return program.image != nullptr ? "interpreter" : "jit";
}

double microseconds(std::uint64_t ns) {
    return static_cast<double>(ns) / 1000;
}

Json to_json(const VerifyOptions& options, const JudgedProgram& judged) {
    const auto& judgement = judged.judgement;
    Json out = {{"name", judged.name},
                {"section", judged.section},
                {"verdict", is_accepted(judged) ? "accepted" : "refused"},
                {"instructions", judged.program().insns.size()},
                {"processed_instructions", judgement.processed_insns},
                {"verify_us", microseconds(judgement.verify_ns)}};
    if (is_accepted(judged)) {
        out["stack_bytes"] = judgement.stack_bytes;
        out["compile_us"] = microseconds(judgement.compile_ns);
        out["native_bytes"] = judgement.loaded->code.bytes();
        out["engine"] = engine_of(*judgement.loaded);
    } else {
        out["error"] = {{"errno", judgement.refusal->code},
                        {"message", judgement.refusal->message}};
    }
    if (shows_log(options, judged)) {
        out["log"] = judgement.log;
    }
    return out;
}

std::string to_text(const VerifyOptions& options, const JudgedProgram& judged) {
    const auto& judgement = judged.judgement;
    std::string out = fmt::format("{} ({}): {}, {} instructions, {} processed", judged.name,
                                  judged.section, is_accepted(judged) ? "accepted" : "refused",
                                  judged.program().insns.size(), judgement.processed_insns);
    if (is_accepted(judged)) {
        out += fmt::format(", stack {} bytes, verified in {:.0f} us, ", judgement.stack_bytes,
                           microseconds(judgement.verify_ns));
        out += judgement.loaded->image != nullptr ? std::string("to be interpreted")
                                                  : fmt::format("compiled in {:.0f} us to {} bytes",
                                                                microseconds(judgement.compile_ns),
                                                                judgement.loaded->code.bytes());
    } else {
        out += fmt::format(" in {:.0f} us", microseconds(judgement.verify_ns));
    }
    out += '\n';
    if (shows_log(options, judged)) {
        out += judgement.log;
    }
    return out;
}

}  // namespace

int run_verb(const VerifyOptions& options) {
    const auto object = ebpf::loader::Object::judge(options.object, options.log_level);
    if (!object) {
        say_error(object.error().message);
        return app::kFailed;
    }
    const auto programs = chosen(*object, options);
    if (!programs) {
        say_error(programs.error().message);
        return app::kFailed;
    }
    Json document = {{"object", options.object}, {"programs", Json::array()}};
    int code = app::kDone;
    for (const JudgedProgram* judged : *programs) {
        if (options.json) {
            document["programs"].push_back(to_json(options, *judged));
        } else {
            print(to_text(options, *judged));
        }
        if (!is_accepted(*judged)) {
            code = app::kFailed;
            say_error(judged->judgement.refusal->message);
        }
    }
    if (options.json) {
        print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    return code;
}

}  // namespace crema::command
