// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/loader/libbpf_messages.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <new>

#include <bpf/libbpf.h>

#include "lib/base/check.h"

namespace crema::ebpf::loader {
namespace {

// libbpf's print function is one per process and has no context argument.
thread_local LibbpfMessages* messages_of_thread = nullptr;

[[gnu::format(printf, 2, 0)]] int keep(libbpf_print_level level,
                                       const char* format,
                                       va_list arguments) {
    if (level != LIBBPF_WARN || messages_of_thread == nullptr) {
        return 0;
    }
    std::array<char, 512> text{};
    const int wanted = std::vsnprintf(text.data(), text.size(), format, arguments);
    std::string_view line(text.data());
    constexpr std::string_view kPrefix = "libbpf: ";
    if (line.substr(0, kPrefix.size()) == kPrefix) {
        line.remove_prefix(kPrefix.size());
    }
    try {
        messages_of_thread->add(std::string(line.substr(0, line.find('\n'))));
    } catch (const std::bad_alloc&) {
        return 0;  // a message less: libbpf's frames, in between, know nothing of exceptions
    }
    return wanted;
}

}  // namespace

LibbpfMessages::LibbpfMessages() {
    CREMA_CHECK(messages_of_thread == nullptr);
    messages_of_thread = this;
    libbpf_set_print(keep);
}

LibbpfMessages::~LibbpfMessages() {
    messages_of_thread = nullptr;
}

std::string LibbpfMessages::first_warning() const {
    return lines_.empty() ? "it gives no reason" : lines_.front();
}

// "extern (func ksym) 'NAME': not found in kernel or module BTFs"
std::string LibbpfMessages::missing_kernel_function() const {
    constexpr std::string_view kBefore = "extern (func ksym) '";
    constexpr std::string_view kBehind = "': not found";
    for (const std::string& line : lines_) {
        const std::size_t behind = line.find(kBehind);
        if (line.starts_with(kBefore) && behind != std::string::npos) {
            return line.substr(kBefore.size(), behind - kBefore.size());
        }
    }
    return {};
}

bool LibbpfMessages::contains(std::string_view text) const {
    return std::any_of(lines_.begin(), lines_.end(), [text](const std::string& line) {
        return line.find(text) != std::string::npos;
    });
}

}  // namespace crema::ebpf::loader
