// SPDX-License-Identifier: BSD-3-Clause
//
// BTF of real objects, whole and with a few words changed, judged by the kernel's BTF_LOAD and by
// Btf::parse. What we take the kernel takes; what it takes we refuse in fewer than one in a hundred
// of the mutants that it takes. Every type of a blob that was taken can be read.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gelf.h>
#include <gtest/gtest.h>
#include <iterator>
#include <libelf.h>
#include <random>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/program/btf_layout.h"
#include "tests/support/rounds.h"

namespace crema::test {

namespace {

using Blob = std::vector<std::uint8_t>;

/// 0 or the kernel's errno.
int kernel_error(const Blob& blob) {
    union bpf_attr attr {};

    attr.btf = reinterpret_cast<std::uintptr_t>(blob.data());
    attr.btf_size = static_cast<std::uint32_t>(blob.size());
    const long fd = ::syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof(attr));
    if (fd < 0) {
        return errno;
    }
    ::close(static_cast<int>(fd));
    return 0;
}

/// The last line of what the kernel says about a blob that it refuses.
std::string kernel_reason(const Blob& blob) {
    std::string log(1 << 20, '\0');

    union bpf_attr attr {};

    attr.btf = reinterpret_cast<std::uintptr_t>(blob.data());
    attr.btf_size = static_cast<std::uint32_t>(blob.size());
    attr.btf_log_buf = reinterpret_cast<std::uintptr_t>(log.data());
    attr.btf_log_size = static_cast<std::uint32_t>(log.size());
    attr.btf_log_level = 1;
    const long fd = ::syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof(attr));
    if (fd >= 0) {
        ::close(static_cast<int>(fd));
    }
    log.resize(log.find('\0'));
    while (!log.empty() && log.back() == '\n') {
        log.pop_back();
    }
    return log.substr(log.rfind('\n') + 1);
}

/// The .BTF section of an object file, empty without.
Blob btf_section(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    Elf* elf = elf_memory(bytes.data(), bytes.size());
    std::size_t names = 0;
    Blob blob;
    if (elf != nullptr && elf_getshdrstrndx(elf, &names) == 0) {
        for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
            GElf_Shdr header;
            const char* name = gelf_getshdr(section, &header) != nullptr
                                   ? elf_strptr(elf, names, header.sh_name)
                                   : nullptr;
            Elf_Data* data = elf_getdata(section, nullptr);
            if (name != nullptr && std::strcmp(name, ".BTF") == 0 && data != nullptr) {
                const auto* first = static_cast<const std::uint8_t*>(data->d_buf);
                blob.assign(first, first + data->d_size);
            }
        }
    }
    elf_end(elf);
    return blob;
}

std::uint32_t word_at(const Blob& blob, std::size_t at) {
    std::uint32_t word = 0;
    std::memcpy(&word, blob.data() + at, sizeof(word));
    return word;
}

void set_word(Blob& blob, std::size_t at, std::uint32_t word) {
    std::memcpy(blob.data() + at, &word, sizeof(word));
}

/// The compiler leaves sizes and offsets of data sections to the loader: one behind the other here.
void lay_out_sections(Blob& blob) {
    constexpr std::size_t kHeader = 24;
    const std::size_t end = kHeader + word_at(blob, 12);
    for (std::size_t at = kHeader; at < end;) {
        const auto head =
            ebpf::btf_layout::head(word_at(blob, at), word_at(blob, at + 4), word_at(blob, at + 8));
        if (head.kind == ebpf::BtfKind::data_section) {
            std::uint32_t offset = 0;
            for (std::uint32_t i = 0; i < head.vlen; ++i) {
                set_word(blob, at + 16 + i * 12, offset);
                offset += word_at(blob, at + 20 + i * 12);
            }
            set_word(blob, at + 8, offset);
        }
        at += ebpf::btf_layout::kHeadBytes + ebpf::btf_layout::extra_words(head) * 4;
    }
}

std::vector<Blob> blobs() {
    elf_version(EV_CURRENT);
    std::vector<Blob> found;
    for (const char* folder : {CREMA_BPF_DIR, CREMA_TEST_BPF_DIR}) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
            if (entry.path().extension() == ".o") {
                Blob blob = btf_section(entry.path());
                if (!blob.empty()) {
                    lay_out_sections(blob);
                    found.push_back(std::move(blob));
                }
            }
        }
    }
    return found;
}

void read_all(const ebpf::Btf& btf) {
    std::size_t sum = 0;
    for (std::uint32_t id = 0; id < btf.count() + 1; ++id) {
        sum += btf.members(id).size() + btf.params(id).size() + btf.section_variables(id).size() +
               btf.decl_tags(id, -1).size() + btf.name_of(id).size() + btf.bare(id) +
               btf.size_of(id).value_or(0);
    }
    EXPECT_LT(sum, std::size_t{1} << 62);
}

}  // namespace

TEST(BtfOracle, KernelAndWeAgreeOnBlobs) {
    const std::vector<Blob> originals = blobs();
    if (kernel_error(Blob(24)) == EPERM) {
        GTEST_SKIP() << "bpf(2) BTF_LOAD is not permitted here";
    }
    ASSERT_FALSE(originals.empty());
    std::mt19937_64 engine(first_seed());
    std::uint64_t accepted = 0;
    std::uint64_t only_kernel = 0;
    const std::uint64_t rounds = scaled_rounds(4000);
    for (std::uint64_t round = 0; round < rounds; ++round) {
        Blob blob = originals[engine() % originals.size()];
        std::uint32_t header[6];
        std::memcpy(header, blob.data(), sizeof(header));
        const std::uint64_t changes = round < originals.size() ? 0 : 1 + engine() % 2;
        if (changes == 0) {
            blob = originals[round];
        }
        for (std::uint64_t i = 0; i < changes; ++i) {
            // Mostly a small change of one word of the types.
            const std::size_t words = header[3] / 4;
            std::uint32_t word = 0;
            std::uint8_t* at =
                blob.data() + (engine() % 20 == 0 ? engine() % 6 * 4 : 24 + engine() % words * 4);
            std::memcpy(&word, at, sizeof(word));
            switch (engine() % 4) {
                case 0:
                    word ^= 1U << (engine() % 32);
                    break;
                case 1:
                    word += static_cast<std::uint32_t>(engine() % 9) - 4;
                    break;
                case 2:
                    word = static_cast<std::uint32_t>(engine() % 40);
                    break;
                default:
                    std::memcpy(&word, blob.data() + 24 + engine() % words * 4, sizeof(word));
                    break;
            }
            std::memcpy(at, &word, sizeof(word));
        }
        const auto ours = ebpf::Btf::parse(blob);
        const int kernel = kernel_error(blob);
        if (ours) {
            EXPECT_EQ(kernel, 0) << "round " << round
                                 << ": we take it, the kernel: " << kernel_reason(blob);
            read_all(**ours);
        } else if (kernel == 0) {
            ++only_kernel;
            std::printf("round %llu: only the kernel takes it: %s\n",
                        static_cast<unsigned long long>(round), ours.error().message.c_str());
        }
        accepted += kernel == 0 ? 1 : 0;
    }
    std::printf("%llu blobs, the kernel takes %llu, we refuse %llu of them\n",
                static_cast<unsigned long long>(rounds), static_cast<unsigned long long>(accepted),
                static_cast<unsigned long long>(only_kernel));
    EXPECT_GT(accepted, rounds / 20);
    EXPECT_LE(only_kernel * 100, accepted);
}

}  // namespace crema::test
