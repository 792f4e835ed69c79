// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/frame_filter.h"

#include <cerrno>
#include <memory>
#include <pcap/pcap.h>

#include "apps/crema/output.h"

namespace crema::command {

Result<std::string> compile_filter(const std::string& words, std::uint32_t snap_bytes) {
    if (words.empty()) {
        return std::string();
    }
    const std::unique_ptr<pcap_t, void (*)(pcap_t*)> handle(
        ::pcap_open_dead(DLT_EN10MB, static_cast<int>(snap_bytes)), ::pcap_close);
    if (handle == nullptr) {
        return fail(ENOMEM, "no memory for a filter");
    }
    bpf_program program{};
    if (::pcap_compile(handle.get(), &program, words.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return fail(EINVAL, "filter '{}': {}", words, ::pcap_geterr(handle.get()));
    }
    const auto* const first = reinterpret_cast<const std::uint8_t*>(program.bf_insns);
    std::string digits = hex({first, program.bf_len * sizeof(bpf_insn)});
    ::pcap_freecode(&program);
    return digits;
}

}  // namespace crema::command
