// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/bpf_face.h"

#include <cerrno>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/btf.h>

#include "lib/ebpf/syscall/serve.h"
#include "lib/ebpf/syscall/session.h"

namespace crema::test {
namespace {

union Attr {
    bpf_attr fields;
    std::uint8_t bytes[sizeof(bpf_attr)];

    Attr() { std::memset(bytes, 0, sizeof bytes); }
};

std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

class Kernel : public BpfFace {
  public:
    long call(int command, void* attr, std::uint32_t bytes) override {
        const long result = ::syscall(SYS_bpf, command, attr, bytes);
        return result < 0 ? -errno : result;
    }
};

class Crema : public BpfFace {
  public:
    long call(int command, void* attr, std::uint32_t bytes) override {
        return ebpf::syscall::serve(command, attr, bytes);
    }

  private:
    ebpf::syscall::Session session_;
};

}  // namespace

int BpfFace::create_map(const MapRequest& request) {
    Attr attr;
    attr.fields.map_type = request.type;
    attr.fields.key_size = request.key_bytes;
    attr.fields.value_size = request.value_bytes;
    attr.fields.max_entries = request.entries;
    attr.fields.map_flags = request.flags;
    if (request.inner_map >= 0) {
        attr.fields.inner_map_fd = static_cast<std::uint32_t>(request.inner_map);
    }
    if (request.btf >= 0) {
        attr.fields.btf_fd = static_cast<std::uint32_t>(request.btf);
        attr.fields.btf_key_type_id = request.btf_key_type;
        attr.fields.btf_value_type_id = request.btf_value_type;
    }
    return static_cast<int>(call(BPF_MAP_CREATE, &attr, sizeof attr));
}

int BpfFace::load_btf(std::span<const std::uint8_t> blob) {
    Attr attr;
    attr.fields.btf = address(blob.data());
    attr.fields.btf_size = static_cast<std::uint32_t>(blob.size());
    return static_cast<int>(call(BPF_BTF_LOAD, &attr, sizeof attr));
}

int BpfFace::update(int map, const void* key, const void* value) {
    Attr attr;
    attr.fields.map_fd = static_cast<std::uint32_t>(map);
    attr.fields.key = address(key);
    attr.fields.value = address(value);
    return static_cast<int>(call(BPF_MAP_UPDATE_ELEM, &attr, sizeof attr));
}

LoadAnswer BpfFace::load_program(const ProgramRequest& request) {
    constexpr std::uint32_t kStatistics = 4;
    constexpr std::size_t kLogBytes = 1U << 18U;
    std::vector<char> log(kLogBytes);
    Attr attr;
    attr.fields.prog_type = request.type;
    attr.fields.expected_attach_type = request.attach;
    attr.fields.insns = address(request.insns.data());
    attr.fields.insn_cnt = static_cast<std::uint32_t>(request.insns.size());
    attr.fields.license = address("GPL");
    attr.fields.prog_flags = request.flags;
    attr.fields.log_level = kStatistics;
    attr.fields.log_buf = address(log.data());
    attr.fields.log_size = static_cast<std::uint32_t>(log.size());
    if (request.btf >= 0) {
        attr.fields.prog_btf_fd = static_cast<std::uint32_t>(request.btf);
        attr.fields.func_info_rec_size = 2 * sizeof(std::uint32_t);
        attr.fields.func_info_cnt = static_cast<std::uint32_t>(request.func_info.size() / 2);
        attr.fields.func_info = address(request.func_info.data());
    }
    const long result = call(BPF_PROG_LOAD, &attr, sizeof attr);
    LoadAnswer answer;
    if (result < 0) {
        answer.error = static_cast<int>(-result);
    } else {
        answer.fd.reset(static_cast<int>(result));
    }
    answer.log.assign(log.data(), ::strnlen(log.data(), log.size()));
    return answer;
}

std::unique_ptr<BpfFace> kernel_face() {
    return std::make_unique<Kernel>();
}

std::unique_ptr<BpfFace> crema_face() {
    return std::make_unique<Crema>();
}

std::vector<std::uint8_t> btf_blob(std::span<const std::uint8_t> types,
                                   std::span<const std::uint8_t> strings) {
    btf_header header{};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof header;
    header.type_len = static_cast<std::uint32_t>(types.size());
    header.str_off = header.type_len;
    header.str_len = static_cast<std::uint32_t>(strings.size());
    std::vector<std::uint8_t> blob(sizeof header);
    std::memcpy(blob.data(), &header, sizeof header);
    blob.insert(blob.end(), types.begin(), types.end());
    blob.insert(blob.end(), strings.begin(), strings.end());
    return blob;
}

}  // namespace crema::test
