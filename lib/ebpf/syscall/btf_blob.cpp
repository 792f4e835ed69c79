// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/btf_blob.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace crema::ebpf::syscall {
namespace {

/// Layout of struct btf_header, the part that every version has.
struct Header {
    std::uint16_t magic;
    std::uint8_t version;
    std::uint8_t flags;
    std::uint32_t hdr_len;
    std::uint32_t type_off;  // both relative to the end of the header
    std::uint32_t type_len;
    std::uint32_t str_off;
    std::uint32_t str_len;
};

static_assert(sizeof(Header) == 24);

constexpr std::uint16_t kMagic = 0xeb9f;
constexpr std::size_t kBytesMax = std::size_t{16} << 20;

std::atomic<std::uint32_t> next_id{1};

}  // namespace

Result<std::shared_ptr<const BtfBlob>> BtfBlob::parse(std::vector<std::uint8_t> bytes) {
    if (bytes.size() > kBytesMax) {
        return fail(E2BIG, "BTF of {} bytes: at most {}", bytes.size(), kBytesMax);
    }
    Header header{};
    if (bytes.size() < sizeof(header)) {
        return fail(EINVAL, "BTF of {} bytes: shorter than its header", bytes.size());
    }
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.magic != kMagic || header.version != 1 || header.flags != 0) {
        return fail(EINVAL, "BTF magic {:#x} version {} flags {:#x}: not native BTF version 1",
                    header.magic, header.version, header.flags);
    }
    const std::uint64_t size = bytes.size();
    const auto inside = [&](std::uint64_t offset, std::uint64_t length) {
        return header.hdr_len + offset + length <= size;
    };
    if (header.hdr_len < sizeof(header) || header.hdr_len > size ||
        !inside(header.type_off, header.type_len) || !inside(header.str_off, header.str_len)) {
        return fail(EINVAL, "BTF sections reach beyond its {} bytes", size);
    }
    const char* strings =
        reinterpret_cast<const char*>(bytes.data()) + header.hdr_len + header.str_off;
    if (header.str_len == 0 || strings[0] != 0 || strings[header.str_len - 1] != 0) {
        return fail(EINVAL, "BTF string section does not start and end with an empty string");
    }
    auto blob = std::make_shared<BtfBlob>();
    blob->id_ = next_id.fetch_add(1, std::memory_order_relaxed);
    blob->bytes_ = std::move(bytes);
    blob->strings_ = {strings, header.str_len};  // a moved vector keeps its memory
    return blob;
}

std::string BtfBlob::string_at(std::uint32_t offset) const {
    if (offset >= strings_.size()) {
        return {};
    }
    const auto rest = strings_.subspan(offset);
    return {rest.begin(), std::find(rest.begin(), rest.end(), '\0')};
}

std::vector<SourceLine> source_lines(const BtfBlob& btf,
                                     std::span<const LineRecord> records,
                                     std::size_t insns) {
    constexpr std::uint32_t kLineShift = 10;
    std::vector<SourceLine> lines;
    for (const LineRecord& record : records) {
        if (record.insn >= insns || (!lines.empty() && record.insn <= lines.back().insn)) {
            continue;
        }
        lines.push_back({.insn = record.insn,
                         .line = record.line_and_column >> kLineShift,
                         .file = btf.string_at(record.file_name),
                         .text = btf.string_at(record.line_text)});
    }
    return lines;
}

}  // namespace crema::ebpf::syscall
