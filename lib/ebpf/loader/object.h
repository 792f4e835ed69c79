// SPDX-License-Identifier: BSD-3-Clause
//
// Object files through libbpf: opens an ELF object, lets libbpf resolve it, and takes its programs
// and maps from the bpf(2) calls that lib/ebpf/syscall serves. No call reaches the kernel.
//
// Loaded are all programs of type XDP (sections xdp, xdp.frags, xdp/devmap, xdp/cpumap and their
// kin, and sections whose names say no type); programs of other types are left out, and so is what
// the object itself leaves out (SEC("?xdp")). Objects that only older loaders opened load too: maps
// in section "maps" of struct bpf_map_def or iproute2's bpf_elf_map, static entry programs. A
// refused program does not take the others with it: each is judged for itself, and asking for a
// refused one gives its refusal. Pin paths are ignored: an object here is on its own.
//
// To put a program into a devmap or cpumap value, take a descriptor for it: syscall::ProgramFd in
// lib/ebpf/syscall/session.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::ebpf::loader {

/// One program of an object, as it was judged.
struct JudgedProgram {
    std::string name;     // in full
    std::string section;  // "xdp", "xdp/devmap", ...
    syscall::Judgement judgement;

    [[nodiscard]] const Program& program() const {
        const LoadedProgram* const loaded = judgement.loaded.get();
        return loaded != nullptr ? loaded->program : judgement.program;
    }
};

/// A loaded object: every XDP program in it, and its maps by their full names. Programs stay usable
/// after the Object is gone. Copyable handle semantics: shared pointers inside.
class Object {
  public:
    /// Loads all XDP programs of the object at `path`.
    /// Errors (one line each): no such file, not an ELF object, no XDP program, every program
    /// refused (the first one's reason), unsupported map type or section, CO-RE without kernel
    /// types. Nothing stays behind after an error.
    /// log_level: as in bpf(2); the verifier's log of all programs goes to *log when both are set.
    /// engine: how its programs run; the default follows the environment (CREMA_JIT=off).
    [[nodiscard]] static Result<Object> load(const std::string& path,
                                             std::uint32_t log_level = 0,
                                             std::string* log = nullptr,
                                             Engine engine = syscall::default_engine());

    /// The same, but succeeds also when every program is refused: see judged().
    [[nodiscard]] static Result<Object> judge(const std::string& path,
                                              std::uint32_t log_level = 0,
                                              Engine engine = syscall::default_engine());

    /// Every XDP program, refused or not, in the order of the object file.
    [[nodiscard]] const std::vector<JudgedProgram>& judged() const { return judged_; }

    /// Those that were accepted, in the order of the object file.
    [[nodiscard]] const std::vector<std::shared_ptr<const LoadedProgram>>& programs() const {
        return programs_;
    }

    /// `name` empty: the first program that attaches to a port (section xdp, not xdp/devmap or
    /// xdp/cpumap). Error: the refusal of that program, or the names there are.
    [[nodiscard]] Result<std::shared_ptr<const LoadedProgram>> program(
        const std::string& name) const;

    /// Maps of global data are called by their section: ".rodata", ".data", ".bss", ".kconfig".
    struct NamedMap {
        std::string name;
        std::shared_ptr<maps::Map> map;
    };

    [[nodiscard]] const std::vector<NamedMap>& maps() const { return maps_; }

    [[nodiscard]] Result<std::shared_ptr<maps::Map>> map(const std::string& name) const;

  private:
    /// judge() and load(), but memory that runs out is an exception.
    [[nodiscard]] static Result<Object> judge_all(const std::string& path,
                                                  std::uint32_t log_level,
                                                  Engine engine);
    [[nodiscard]] static Result<Object> load_all(const std::string& path,
                                                 std::uint32_t log_level,
                                                 std::string* log,
                                                 Engine engine);

    std::string path_;
    std::vector<std::shared_ptr<const LoadedProgram>> programs_;
    std::vector<JudgedProgram> judged_;
    std::vector<NamedMap> maps_;
};

}  // namespace crema::ebpf::loader
