// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/object.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include <bpf/libbpf.h>

#include "lib/ebpf/loader/elf_file.h"
#include "lib/ebpf/loader/legacy_forms.h"
#include "lib/ebpf/loader/legacy_slots.h"
#include "lib/ebpf/loader/libbpf_messages.h"
#include "lib/ebpf/loader/opening.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::ebpf::loader {
namespace {

/// What to do about the commonest reasons of a refusal; empty for others.
std::string_view advice_for(std::string_view reason) {
    struct Advice {
        std::string_view reason;
        std::string_view advice;
    };

    static constexpr Advice kAdvice[] = {
        {"invalid access to packet", "compare the end of the access with data_end first"},
        {"map_value_or_null", "compare the lookup's result with NULL first"},
        {"invalid mem access 'scalar'", "this is no pointer here"},
        {"unknown func", "the helper is not served by this version"},
    };
    for (const Advice& entry : kAdvice) {
        if (reason.find(entry.reason) != std::string_view::npos) {
            return entry.advice;
        }
    }
    return {};
}

/// The reason of bpf(2) as one line, with the program's full name where bpf(2) had only 15 letters
/// of it.
Error refusal_of(const std::string& path, const JudgedProgram& judged) {
    const Error& refusal = *judged.judgement.refusal;
    std::string text = refusal.message;
    const std::string prefix = "program " + judged.judgement.program.name + ":";
    if (text.compare(0, prefix.size(), prefix) == 0) {
        text.replace(0, prefix.size(), "program " + judged.name + ":");
    }
    if (const std::string_view advice = advice_for(text); !advice.empty()) {
        text.append(": ").append(advice);
    }
    std::replace(text.begin(), text.end(), '\n', ' ');
    return {refusal.code, path + ": " + text};
}

/// Programs that PROG_LOAD is called for, in that order.
std::vector<const bpf_program*> loaded_programs(const bpf_object* object) {
    std::vector<const bpf_program*> all;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        if (bpf_program__autoload(program)) {
            all.push_back(program);
        }
    }
    return all;
}

Status load_object(const std::string& path,
                   bpf_object* object,
                   const syscall::Session& session,
                   const LibbpfMessages& messages) {
    const int err = bpf_object__load(object);
    if (err == 0) {
        return {};
    }
    const int code = -err > 0 && -err < 4000 ? -err : EINVAL;
    if (session.refusal()) {
        return fail(session.refusal()->code, "{}: {}", path, session.refusal()->message);
    }
    if (const std::string missing = messages.missing_kernel_function(); !missing.empty()) {
        return fail(code,
                    "{}: kernel function {} is not served: a program that can do without declares "
                    "it __weak and asks for it first",
                    path, missing);
    }
    if (messages.contains("target BTF") || messages.contains("vmlinux BTF")) {
        return fail(code,
                    "{}: its CO-RE relocations need the kernel's types and this kernel shows none: "
                    "use a kernel with /sys/kernel/btf/vmlinux, or build the object without CO-RE",
                    path);
    }
    return fail(code, "{}: libbpf {} cannot load it: {}", path, libbpf_version_string(),
                messages.first_warning());
}

/// Global data maps are called by their section (".rodata"): libbpf's name for them is the object's
/// name and the section, cut to 15 letters.
std::string map_name(const bpf_map* map) {
    const std::string name = bpf_map__name(map);
    const std::size_t dot = name.find('.');
    return bpf_map__is_internal(map) && dot != std::string::npos ? name.substr(dot) : name;
}

/// Short enough to need no memory.
tl::unexpected<Error> out_of_memory() {
    return tl::unexpected<Error>(Error{ENOMEM, "out of memory"});
}

}  // namespace

Result<Object> Object::judge(const std::string& path, std::uint32_t log_level, Engine engine) {
    try {
        return judge_all(path, log_level, engine);
    } catch (const std::bad_alloc&) {
        return out_of_memory();
    }
}

Result<Object> Object::judge_all(const std::string& path, std::uint32_t log_level, Engine engine) {
    auto bytes = read_object(path);
    if (!bytes) {
        return forward_error(bytes);
    }
    const auto file = to_current_form(path, std::move(*bytes));
    if (!file) {
        return forward_error(file);
    }
    const LibbpfMessages messages;
    const syscall::Session session(log_level, syscall::Session::OnRefusal::go_on, engine);
    const auto handle = open_object(path, file->bytes, messages);
    if (!handle) {
        return forward_error(handle);
    }
    bpf_object* object = handle->get();
    if (auto selected = select_programs(path, object); !selected) {
        return forward_error(selected);
    }
    clear_pin_paths(object);
    if (auto loaded = load_object(path, object, session, messages); !loaded) {
        return forward_error(loaded);
    }
    if (auto filled = fill_legacy_slots(path, object, file->legacy_maps); !filled) {
        return forward_error(filled);
    }

    Object result;
    result.path_ = path;
    const auto programs = loaded_programs(object);
    if (programs.size() != session.judgements().size()) {
        return fail(EINVAL, "{}: libbpf {} loaded {} of its {} programs", path,
                    libbpf_version_string(), session.judgements().size(), programs.size());
    }
    for (std::size_t i = 0; i < programs.size(); ++i) {
        JudgedProgram judged{.name = bpf_program__name(programs[i]),
                             .section = bpf_program__section_name(programs[i]),
                             .judgement = session.judgements()[i]};
        if (judged.judgement.loaded != nullptr) {
            result.programs_.push_back(judged.judgement.loaded);
        } else {
            judged.judgement.refusal = refusal_of(path, judged);
        }
        result.judged_.push_back(std::move(judged));
    }
    bpf_map* map = nullptr;
    while ((map = bpf_object__next_map(object, map)) != nullptr) {
        if (auto held = syscall::map_of(bpf_map__fd(map)); held != nullptr) {
            result.maps_.push_back({map_name(map), std::move(held)});
        }
    }
    return result;
}

Result<Object> Object::load(const std::string& path,
                            std::uint32_t log_level,
                            std::string* log,
                            Engine engine) {
    try {
        return load_all(path, log_level, log, engine);
    } catch (const std::bad_alloc&) {
        return out_of_memory();
    }
}

Result<Object> Object::load_all(const std::string& path,
                                std::uint32_t log_level,
                                std::string* log,
                                Engine engine) {
    auto object = judge_all(path, log != nullptr ? log_level : 0, engine);
    if (log != nullptr) {
        log->clear();
    }
    if (!object) {
        return object;
    }
    if (log != nullptr && log_level != 0) {
        for (const JudgedProgram& judged : object->judged_) {
            *log += judged.judgement.log;
        }
    }
    if (object->programs_.empty()) {
        return tl::unexpected<Error>(*object->judged_.front().judgement.refusal);
    }
    return object;
}

Result<std::shared_ptr<const LoadedProgram>> Object::program(const std::string& name) const {
    std::vector<std::string> names;
    for (const JudgedProgram& judged : judged_) {
        const bool wanted = name.empty() ? judged.program().expected_attach_type == kAttachXdp
                                         : judged.name == name;
        if (!wanted) {
            names.push_back(judged.name);
            continue;
        }
        if (judged.judgement.refusal) {
            return tl::unexpected<Error>(*judged.judgement.refusal);
        }
        return judged.judgement.loaded;
    }
    if (name.empty()) {
        return fail(ENOENT, "{}: no program for a port (SEC(\"xdp\")), only {}", path_,
                    joined(names));
    }
    return fail(ENOENT, "{}: no XDP program '{}': it has {}", path_, name, joined(names));
}

Result<std::shared_ptr<maps::Map>> Object::map(const std::string& name) const {
    std::vector<std::string> names;
    for (const NamedMap& entry : maps_) {
        if (entry.name == name) {
            return entry.map;
        }
        names.push_back(entry.name);
    }
    return fail(ENOENT, "{}: no map '{}': it has {}", path_, name,
                names.empty() ? "none" : joined(names));
}

}  // namespace crema::ebpf::loader
