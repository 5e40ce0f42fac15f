// Counts this thread's heap allocations: operator new, and where the C library allows it malloc,
// which Eigen calls directly.
#pragma once

namespace holdstill::testing {

class AllocationCount {
 public:
  AllocationCount();
  long count() const;

 private:
  long start_;
};

}  // namespace holdstill::testing
