// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/judge.h"

#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include <bpf/btf.h>
#include <linux/bpf.h>

#include "tests/selftests/case_maps.h"

namespace crema::test {
namespace {

constexpr std::uint32_t kXdpAttachTypes[] = {0, BPF_XDP_DEVMAP, BPF_XDP_CPUMAP, BPF_XDP};

/// The kernel's number of a function that programs may call; 0 where it has none of the name.
std::int32_t kfunc_id(const std::string& name) {
    static const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
    if (types == nullptr) {
        return 0;
    }
    const int id = btf__find_by_name_kind(types.get(), name.c_str(), BTF_KIND_FUNC);
    return id > 0 ? id : 0;
}

/// Line before the statistics, and the number in the statistics.
void read_log(const std::string& log, Judgement& judgement) {
    const std::string mark = "processed ";
    std::size_t at = log.rfind(mark);
    while (at != std::string::npos && at != 0 && log[at - 1] != '\n') {
        at = at == 0 ? std::string::npos : log.rfind(mark, at - 1);
    }
    std::string words = log;
    if (at != std::string::npos) {
        judgement.processed = std::strtoull(log.c_str() + at + mark.size(), nullptr, 10);
        words = log.substr(0, at);
    }
    while (!words.empty()) {
        const std::size_t end = words.find_last_not_of('\n');
        words.resize(end == std::string::npos ? 0 : end + 1);
        const std::size_t start = words.rfind('\n') + 1;
        const std::string line = words.substr(start);
        if (line.rfind("verification time", 0) != 0 && line.rfind("stack depth", 0) != 0) {
            judgement.reason = line;
            return;
        }
        words.resize(start);
    }
}

bool proved(const std::string& log) {
    return log.rfind("processed ", 0) == 0 || log.find("\nprocessed ") != std::string::npos;
}

bool attaches_as_xdp(std::uint32_t attach) {
    for (const std::uint32_t type : kXdpAttachTypes) {
        if (attach == type) {
            return true;
        }
    }
    return false;
}

Judgement load(BpfFace& face, const ProgramRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    const LoadAnswer answer = face.load_program(request);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    Judgement judgement;
    judgement.seconds = took.count();
    judgement.error = answer.error;
    read_log(answer.log, judgement);
    if (answer.error == 0) {
        judgement.verdict = Verdict::accepted;
    } else if (judgement.reason.empty() && proved(answer.log)) {
        judgement.verdict = Verdict::verified;
    }
    return judgement;
}

}  // namespace

Judgement judge(BpfFace& face, const TableCase& c) {
    std::vector<ebpf::Insn> insns = c.insns;
    std::vector<UniqueFd> maps;
    for (const TableCase::MapUse& use : c.maps) {
        auto map = make_case_map(face, use.kind);
        if (!map) {
            return {.verdict = Verdict::no_map,
                    .error = map.error().code,
                    .reason = map.error().message};
        }
        for (const std::uint32_t at : use.at) {
            insns[at].imm = map->get();
        }
        maps.push_back(std::move(*map));
    }
    for (const TableCase::KfuncUse& use : c.kfuncs) {
        insns[use.at].imm = kfunc_id(use.name);
    }
    ProgramRequest request;
    request.insns = insns;
    request.attach = attaches_as_xdp(c.attach) ? c.attach : 0;
    request.flags = c.load_flags | (c.strict_alignment ? BPF_F_STRICT_ALIGNMENT : 0U) |
                    (c.any_alignment ? BPF_F_ANY_ALIGNMENT : 0U);
    UniqueFd btf;
    std::vector<std::uint32_t> functions;
    if (!c.functions.empty()) {
        const int fd = face.load_btf(btf_blob(c.btf_types, c.btf_strings));
        if (fd < 0) {
            return {.verdict = Verdict::no_btf, .error = -fd, .reason = "types of the program"};
        }
        btf.reset(fd);
        for (const TableCase::FunctionType& function : c.functions) {
            functions.insert(functions.end(), {function.insn, function.type});
        }
        request.btf = fd;
        request.func_info = functions;
    }
    return load(face, request);
}

Claim claim_of(const TableCase& c, const Judgement& kernel) {
    const bool agrees = kernel.is_safe() == c.accepted;
    if (c.type == BPF_PROG_TYPE_XDP) {
        return agrees ? Claim::xdp : Claim::kernel_differs;
    }
    if (c.type == BPF_PROG_TYPE_UNSPEC || c.type == BPF_PROG_TYPE_SOCKET_FILTER) {
        return agrees ? Claim::any_type : Claim::not_for_xdp;
    }
    return Claim::other_type;
}

}  // namespace crema::test
