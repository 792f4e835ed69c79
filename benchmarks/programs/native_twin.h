// SPDX-License-Identifier: BSD-3-Clause
//
// A BPF program's C compiled by clang -O2 to native code (benchmarks/bpf/twin has the header that
// stands in for libbpf's): with the same maps and the same helper functions, the limit of what
// compiling its BPF can reach. Nothing verified it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/loader/object.h"

namespace crema::bench {

class NativeTwin {
  public:
    /// `object`: the BPF object of the same source; its maps become the twin's.
    [[nodiscard]] static Result<std::shared_ptr<NativeTwin>> open(
        const std::string& path, const ebpf::loader::Object& object);
    ~NativeTwin();
    NativeTwin(const NativeTwin&) = delete;
    NativeTwin& operator=(const NativeTwin&) = delete;
    NativeTwin(NativeTwin&&) = delete;
    NativeTwin& operator=(NativeTwin&&) = delete;

    [[nodiscard]] Result<ebpf::EntryPoint> entry(const std::string& program) const;

    /// Puts a program into a slot of a program array.
    [[nodiscard]] Status set_program(const std::string& map,
                                     std::uint32_t slot,
                                     const std::string& program);

    /// The context of the runs, for helpers that want one.
    void set_context(ebpf::XdpBuff* buff);

  private:
    /// The table of the header: layout is shared with benchmarks/bpf/twin/bpf/bpf_helpers.h.
    struct Table;
    /// A map's variable, `type`, `max_entries` and `key` being its first members.
    struct MapVariable;

    NativeTwin() = default;
    [[nodiscard]] Status bind(const ebpf::loader::Object& object);
    void bind_helpers();
    void bind_map(const std::string& name, ebpf::maps::Map& map);

    std::string path_;
    void* library_ = nullptr;
    Table* table_ = nullptr;
    std::vector<ebpf::loader::Object::NamedMap> maps_;               // kept alive
    std::vector<std::pair<std::string, std::vector<void*>>> slots_;  // of program arrays, by map
};

}  // namespace crema::bench
