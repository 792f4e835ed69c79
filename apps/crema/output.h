// SPDX-License-Identifier: BSD-3-Clause
//
// What all verbs print alike: errors, verdicts, hexadecimal bytes, and which program was meant.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/crema/options.h"
#include "lib/base/result.h"
#include "lib/ebpf/loader/object.h"

namespace crema::command {

void print(const std::string& text);
/// One line on stderr.
void say_error(const std::string& message);

/// "XDP_PASS" ...; "XDP_ABORTED (77)" for what is no verdict.
[[nodiscard]] std::string verdict_name(std::uint32_t retval);

[[nodiscard]] std::string hex(std::span<const std::uint8_t> bytes);

/// Programs that `--program` names, refused ones included; ENOENT lists what there is.
[[nodiscard]] Result<std::vector<const ebpf::loader::JudgedProgram*>> chosen(
    const ebpf::loader::Object& object, const ObjectOptions& options);

/// Its name in the object; the loaded program has only 15 letters of it.
[[nodiscard]] std::string full_name(const ebpf::loader::Object& object,
                                    const ebpf::LoadedProgram& program);

/// The one program that is to run, and the object that it is from.
struct Subject {
    ebpf::loader::Object object;
    std::shared_ptr<const ebpf::LoadedProgram> program;
};

/// Loads it and applies `--map` settings. A devmap's target is the number of an interface;
/// stand-ins that take no frame are registered for those that are named. ENOENT: no such program
/// or map.
[[nodiscard]] Result<Subject> load_subject(const ObjectOptions& options,
                                           const std::vector<app::MapSetting>& settings,
                                           ebpf::Engine how = ebpf::syscall::default_engine());

}  // namespace crema::command
