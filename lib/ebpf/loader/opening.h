// SPDX-License-Identifier: BSD-3-Clause
//
// The first steps of every load: open an object with libbpf, choose its programs, leave the BPF
// file system out of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ebpf/loader/libbpf_messages.h"

struct bpf_object;

namespace crema::ebpf::loader {

struct CloseObject {
    void operator()(bpf_object* object) const;
};

using ObjectHandle = std::unique_ptr<bpf_object, CloseObject>;

/// bytes: the object in its current form (legacy_forms.h).
[[nodiscard]] Result<ObjectHandle> open_object(const std::string& path,
                                               const std::vector<std::uint8_t>& bytes,
                                               const LibbpfMessages& messages);

/// Chooses what is loaded: XDP programs, and programs in sections that libbpf does not know
/// ("xdp_pass", "prog", "1/0"): older loaders were told the type, and here it is XDP. ENOENT: none.
[[nodiscard]] Status select_programs(const std::string& path, bpf_object* object);

/// Programs and maps of other processes live in a BPF file system; here an object is on its own.
void clear_pin_paths(bpf_object* object);

/// "a, b, c"
[[nodiscard]] std::string joined(const std::vector<std::string>& names);

}  // namespace crema::ebpf::loader
