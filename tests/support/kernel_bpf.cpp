// SPDX-License-Identifier: BSD-3-Clause
//
// See kernel_bpf.h.
#include "tests/support/kernel_bpf.h"

#include <cerrno>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "lib/ebpf/program/btf.h"
#include "tests/support/kernel_kfuncs.h"

namespace crema::test::kernel {

namespace {

union Attr {
    bpf_attr fields;
    std::uint8_t bytes[sizeof(bpf_attr)];

    Attr() { std::memset(bytes, 0, sizeof bytes); }
};

int call(int command, Attr& attr) {
    const long rc = ::syscall(SYS_bpf, command, &attr.fields, sizeof attr.fields);
    return rc < 0 ? -errno : static_cast<int>(rc);
}

std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

int element(int command, int map, const void* key, const void* value, std::uint64_t flags) {
    Attr attr;
    attr.fields.map_fd = static_cast<std::uint32_t>(map);
    attr.fields.key = address(key);
    attr.fields.value = address(value);
    attr.fields.flags = flags;
    return call(command, attr);
}

/// The descriptor of the last BTF stays open: programs by the thousand share one.
class LastBtf {
  public:
    LastBtf() = default;
    LastBtf(const LastBtf&) = delete;
    LastBtf& operator=(const LastBtf&) = delete;

    ~LastBtf() { close_fd(); }

    int fd_of(const ebpf::Btf& btf) {
        if (id_ != btf.id()) {
            close_fd();
            Attr attr;
            attr.fields.btf = address(btf.bytes().data());
            attr.fields.btf_size = static_cast<std::uint32_t>(btf.bytes().size());
            fd_ = call(BPF_BTF_LOAD, attr);
            id_ = btf.id();
        }
        return fd_;
    }

  private:
    void close_fd() const {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    std::uint32_t id_ = 0;  // of no BTF
    int fd_ = -1;
};

int load_btf(const ebpf::Btf& btf) {
    static thread_local LastBtf last;
    return last.fd_of(btf);
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

}  // namespace

bool available() {
    const int fd = create_map({.type = ebpf::maps::MapType::devmap,
                               .key_size = 4,
                               .value_size = 4,
                               .max_entries = 1,
                               .flags = 0,
                               .name = "probe"});
    if (fd < 0) {
        return false;
    }
    ::close(fd);
    return true;
}

int create_map(const ebpf::maps::MapSpec& spec, int inner_fd) {
    Attr attr;
    attr.fields.map_type = static_cast<std::uint32_t>(spec.type);
    attr.fields.key_size = spec.key_size;
    attr.fields.value_size = spec.value_size;
    attr.fields.max_entries = spec.max_entries;
    attr.fields.map_flags = spec.flags;
    attr.fields.map_extra = spec.extra;
    attr.fields.numa_node = spec.numa_node;
    if (inner_fd >= 0) {
        attr.fields.inner_map_fd = static_cast<std::uint32_t>(inner_fd);
    }
    std::memcpy(attr.fields.map_name, spec.name.data(),
                std::min(spec.name.size(), sizeof attr.fields.map_name));
    return call(BPF_MAP_CREATE, attr);
}

int lookup(int map, const void* key, void* value_out, std::uint64_t flags) {
    return element(BPF_MAP_LOOKUP_ELEM, map, key, value_out, flags);
}

int take(int map, const void* key, void* value_out, std::uint64_t flags) {
    return element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, map, key, value_out, flags);
}

int batch(int command, int map, Batch& batch) {
    Attr attr;
    attr.fields.batch.map_fd = static_cast<std::uint32_t>(map);
    attr.fields.batch.in_batch = address(batch.in);
    attr.fields.batch.out_batch = address(batch.out);
    attr.fields.batch.keys = address(batch.keys);
    attr.fields.batch.values = address(batch.values);
    attr.fields.batch.count = batch.count;
    attr.fields.batch.elem_flags = batch.element_flags;
    attr.fields.batch.flags = batch.flags;
    const int rc = call(command, attr);
    batch.count = attr.fields.batch.count;
    return rc;
}

int update(int map, const void* key, const void* value, std::uint64_t flags) {
    return element(BPF_MAP_UPDATE_ELEM, map, key, value, flags);
}

int erase(int map, const void* key) {
    return element(BPF_MAP_DELETE_ELEM, map, key, nullptr, 0);
}

int next_key(int map, const void* key, void* next_out) {
    return element(BPF_MAP_GET_NEXT_KEY, map, key, next_out, 0);
}

int freeze(int map) {
    Attr attr;
    attr.fields.map_fd = static_cast<std::uint32_t>(map);
    return call(BPF_MAP_FREEZE, attr);
}

int load_xdp(const ebpf::Program& program, std::span<const int> map_fds, std::string* log) {
    std::vector<ebpf::Insn> insns = program.insns;
    for (std::size_t at = 0; at < insns.size(); at++) {
        ebpf::Insn& insn = insns[at];
        if (insn.code == ebpf::op::kLdImm64) {
            if (insn.src == ebpf::op::kPseudoMap || insn.src == ebpf::op::kPseudoMapValue) {
                insn.imm = map_fds[static_cast<std::size_t>(insn.imm)];
            }
            at++;
        }
    }
    name_kernel_functions(insns);
    const int btf = program.btf != nullptr ? load_btf(*program.btf) : -1;
    const std::vector<bpf_func_info> functions = function_records(program);
    const auto load = [&](std::uint32_t level, std::string* text) {
        Attr attr;
        if (btf >= 0) {
            attr.fields.prog_btf_fd = static_cast<std::uint32_t>(btf);
            attr.fields.func_info = address(functions.data());
            attr.fields.func_info_cnt = static_cast<std::uint32_t>(functions.size());
            attr.fields.func_info_rec_size = sizeof(bpf_func_info);
        }
        attr.fields.prog_type = BPF_PROG_TYPE_XDP;
        attr.fields.insns = address(insns.data());
        attr.fields.insn_cnt = static_cast<std::uint32_t>(insns.size());
        attr.fields.license = address("GPL");
        attr.fields.expected_attach_type = program.expected_attach_type;
        if (level != 0) {
            text->resize(1U << 20U);
            attr.fields.log_level = level;
            attr.fields.log_buf = address(text->data());
            attr.fields.log_size = static_cast<std::uint32_t>(text->size());
        }
        return call(BPF_PROG_LOAD, attr);
    };
    const int fd = load(0, nullptr);
    if (fd < 0 && log != nullptr) {
        static_cast<void>(load(1, log));
        log->resize(std::strlen(log->c_str()));
    }
    return fd;
}

namespace {

Run run_with(int program,
             std::span<const std::uint8_t> packet,
             std::uint32_t repeat,
             Context* context) {
    Run run;
    run.packet.resize(packet.size() + 8192);  // it may grow by most of a page, twice
    Attr attr;
    attr.fields.test.prog_fd = static_cast<std::uint32_t>(program);
    attr.fields.test.data_in = address(packet.data());
    attr.fields.test.data_size_in = static_cast<std::uint32_t>(packet.size());
    attr.fields.test.data_out = address(run.packet.data());
    attr.fields.test.data_size_out = static_cast<std::uint32_t>(run.packet.size());
    attr.fields.test.repeat = repeat;
    if (context != nullptr) {
        attr.fields.test.ctx_in = address(context);
        attr.fields.test.ctx_size_in = sizeof *context;
        attr.fields.test.ctx_out = address(context);
        attr.fields.test.ctx_size_out = sizeof *context;
    }
    run.error = call(BPF_PROG_TEST_RUN, attr);
    run.retval = attr.fields.test.retval;
    run.duration_ns = attr.fields.test.duration;
    run.packet.resize(run.error == 0 ? attr.fields.test.data_size_out : 0);
    return run;
}

}  // namespace

Run test_run(int program, std::span<const std::uint8_t> packet, std::uint32_t repeat) {
    return run_with(program, packet, repeat, nullptr);
}

Run test_run(int program, std::span<const std::uint8_t> packet, Context& context) {
    return run_with(program, packet, 1, &context);
}

}  // namespace crema::test::kernel
