// SPDX-License-Identifier: BSD-3-Clause
//
// An object as a whole on a machine: all of its XDP programs that the machine accepts, loaded
// together so that they share the object's maps, and the refusals of the others. The kernel's
// libbpf 1.0 and later refuses old forms of objects: then the kernel is given what our loader's
// pre-pass makes of the file (lib/ebpf/loader/legacy_forms.h), slots of tail calls included.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/machine.h"

namespace crema::test {

struct MapShape {
    std::string name;  // canonical_map_name
    std::uint32_t type = 0;
    std::uint32_t key_size = 0;
    std::uint32_t value_size = 0;
    std::uint32_t max_entries = 0;
};

class WholeObject {
  public:
    struct Program {
        std::string name;
        std::string section;
        int error = 0;  // of the refusal; 0: loaded
        std::string reason;
        std::unique_ptr<Machine> machine;  // null: refused
    };

    WholeObject() = default;
    virtual ~WholeObject() = default;
    WholeObject(const WholeObject&) = delete;
    WholeObject& operator=(const WholeObject&) = delete;

    [[nodiscard]] const std::vector<Program>& programs() const { return programs_; }

    /// True: libbpf does not open the file as it is.
    [[nodiscard]] bool has_older_form() const { return older_form_; }

    [[nodiscard]] virtual std::vector<MapShape> map_shapes() const = 0;

    /// Puts program `index`, which is loaded, into a slot of a map of programs.
    [[nodiscard]] virtual Status put_program(const std::string& map,
                                             std::uint32_t slot,
                                             std::size_t index) = 0;

  protected:
    std::vector<Program> programs_;
    bool older_form_ = false;
};

using LoadedWhole = Result<std::unique_ptr<WholeObject>>;

/// Errors: the object cannot be opened, has no XDP program, or one of its maps cannot be made; one
/// line, with the reason behind the path. Refused programs are no error. Needs prepare_kernel and
/// prepare_crema.
[[nodiscard]] LoadedWhole load_whole_into_kernel(const std::string& path);
[[nodiscard]] LoadedWhole load_whole_into_crema(const std::string& path);

}  // namespace crema::test
