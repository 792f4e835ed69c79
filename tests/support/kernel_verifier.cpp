// SPDX-License-Identifier: BSD-3-Clause
//
// The oracle of kernel_verifier.h. Uses <linux/bpf.h> and raw system calls only, so that neither
// libbpf nor our own bpf(2) service is between the test and the kernel.
#include "tests/support/kernel_verifier.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/btf.h"
#include "tests/support/kernel_kfuncs.h"

namespace crema::test {

namespace {

long bpf(int command, union bpf_attr& attr) {
    return ::syscall(SYS_bpf, command, &attr, sizeof(attr));
}

int create_map(ebpf::maps::Map& map) {
    const auto& spec = map.spec();

    union bpf_attr attr {};

    attr.map_type = static_cast<std::uint32_t>(spec.type);
    attr.key_size = spec.key_size;
    attr.value_size = spec.value_size;
    attr.max_entries = spec.max_entries;
    // The kernel gives devmaps this flag itself and refuses it from outside.
    const bool devmap =
        spec.type == ebpf::maps::MapType::devmap || spec.type == ebpf::maps::MapType::devmap_hash;
    attr.map_extra = spec.extra;
    int inner = -1;
    if (spec.inner != nullptr) {
        union bpf_attr form {};

        form.map_type = static_cast<std::uint32_t>(spec.inner->type);
        form.key_size = spec.inner->key_size;
        form.value_size = spec.inner->value_size;
        form.max_entries = spec.inner->max_entries;
        form.map_flags = spec.inner->flags;
        inner = static_cast<int>(bpf(BPF_MAP_CREATE, form));
        attr.inner_map_fd = static_cast<std::uint32_t>(inner);
    }
    attr.map_flags = devmap ? spec.flags & ~ebpf::maps::kRdonlyProg : spec.flags;
    std::memcpy(attr.map_name, spec.name.data(),
                std::min(spec.name.size(), sizeof(attr.map_name) - 1));
    const int fd = static_cast<int>(bpf(BPF_MAP_CREATE, attr));
    if (inner >= 0) {
        ::close(inner);
    }
    if (fd < 0 || spec.type != ebpf::maps::MapType::array) {
        return fd;
    }
    std::vector<std::uint8_t> value(spec.value_size);
    for (std::uint32_t key = 0; key < spec.max_entries; ++key) {
        if (map.lookup(&key, value.data()) != 0) {
            continue;
        }

        union bpf_attr update {};

        update.map_fd = static_cast<std::uint32_t>(fd);
        update.key = reinterpret_cast<std::uintptr_t>(&key);
        update.value = reinterpret_cast<std::uintptr_t>(value.data());
        (void)bpf(BPF_MAP_UPDATE_ELEM, update);
    }
    if (map.frozen()) {
        union bpf_attr freeze {};

        freeze.map_fd = static_cast<std::uint32_t>(fd);
        (void)bpf(BPF_MAP_FREEZE, freeze);
    }
    return fd;
}

/// The program's types in the kernel, or -1.
int load_btf(const ebpf::Program& program) {
    if (program.btf == nullptr) {
        return -1;
    }
    const auto& bytes = program.btf->bytes();

    union bpf_attr attr {};

    attr.btf = reinterpret_cast<std::uintptr_t>(bytes.data());
    attr.btf_size = static_cast<std::uint32_t>(bytes.size());
    return static_cast<int>(bpf(BPF_BTF_LOAD, attr));
}

std::vector<bpf_func_info> function_records(const ebpf::Program& program) {
    std::vector<bpf_func_info> records;
    for (const ebpf::Function& function : program.functions) {
        if (function.btf_type != 0) {
            records.push_back({.insn_off = function.first, .type_id = function.btf_type});
        }
    }
    return records;
}

std::uint64_t processed_insns(int program) {
    bpf_prog_info info{};

    union bpf_attr attr {};

    attr.info.bpf_fd = static_cast<std::uint32_t>(program);
    attr.info.info_len = sizeof(info);
    attr.info.info = reinterpret_cast<std::uintptr_t>(&info);
    return bpf(BPF_OBJ_GET_INFO_BY_FD, attr) == 0 ? info.verified_insns : 0;
}

std::string without_statistics(std::string log) {
    const std::size_t at = log.find("\nprocessed ");
    if (at != std::string::npos) {
        log.resize(at);
    }
    return log;
}

}  // namespace

bool kernel_verifier_available() {
    ebpf::Program program;
    program.insns = {{.code = 0xb7, .dst = 0, .src = 0, .off = 0, .imm = 2},
                     {.code = 0x95, .dst = 0, .src = 0, .off = 0, .imm = 0}};
    return KernelVerifier({}).judge(program).accepted;
}

KernelVerifier::KernelVerifier(const std::vector<std::shared_ptr<ebpf::maps::Map>>& maps) {
    for (const auto& map : maps) {
        fds_.push_back(create_map(*map));
    }
}

KernelVerifier::~KernelVerifier() {
    for (const int fd : fds_) {
        if (fd >= 0) {
            ::close(fd);
        }
    }
}

KernelVerdict KernelVerifier::judge(const ebpf::Program& program, Words words) const {
    std::vector<ebpf::Insn> insns = program.insns;
    for (std::size_t i = 0; i < insns.size(); ++i) {
        if (insns[i].code != 0x18) {
            continue;
        }
        const bool map_ref =
            insns[i].src == BPF_PSEUDO_MAP_FD || insns[i].src == BPF_PSEUDO_MAP_VALUE;
        if (map_ref) {
            // An index that names no map must not name a descriptor of this process by chance.
            const auto index = static_cast<std::size_t>(insns[i].imm);
            insns[i].imm = insns[i].imm >= 0 && index < fds_.size() ? fds_[index] : -1;
        }
        ++i;
    }
    name_kernel_functions(insns);
    const int btf = load_btf(program);
    const std::vector<bpf_func_info> functions = function_records(program);
    // Most verdicts need no log; a second load fetches it for refusals.
    std::string log;
    const char* licence = program.gpl_compatible ? "GPL" : "Proprietary";
    KernelVerdict verdict;
    for (const bool with_log : {false, true}) {
        union bpf_attr attr {};

        attr.prog_type = BPF_PROG_TYPE_XDP;
        attr.expected_attach_type = program.expected_attach_type;
        attr.prog_flags = (program.strict_alignment ? BPF_F_STRICT_ALIGNMENT : 0U) |
                          (program.test_state_freq ? BPF_F_TEST_STATE_FREQ : 0U);
        attr.insns = reinterpret_cast<std::uintptr_t>(insns.data());
        attr.insn_cnt = static_cast<std::uint32_t>(insns.size());
        attr.license = reinterpret_cast<std::uintptr_t>(licence);
        if (btf >= 0) {
            attr.prog_btf_fd = static_cast<std::uint32_t>(btf);
            attr.func_info = reinterpret_cast<std::uintptr_t>(functions.data());
            attr.func_info_cnt = static_cast<std::uint32_t>(functions.size());
            attr.func_info_rec_size = sizeof(bpf_func_info);
        }
        if (with_log) {
            log.resize(1 << 20);
            attr.log_level = 1;
            attr.log_buf = reinterpret_cast<std::uintptr_t>(log.data());
            attr.log_size = static_cast<std::uint32_t>(log.size());
        }
        const int fd = static_cast<int>(bpf(BPF_PROG_LOAD, attr));
        if (fd >= 0) {
            verdict.accepted = true;
            verdict.processed_insns = processed_insns(fd);
            ::close(fd);
            break;
        }
        if (!with_log) {
            verdict.error = errno;
        }
        if (words == Words::no) {
            break;
        }
    }
    if (btf >= 0) {
        ::close(btf);
    }
    verdict.reason = without_statistics(log.substr(0, log.find('\0')));
    return verdict;
}

}  // namespace crema::test
