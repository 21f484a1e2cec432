extension FixedWidthInteger {
  /// The sum, limited to the smallest or largest value. Sizes and times come from outside (a listing, a
  /// sparse file, a line of a log), so an impossible number must not end the process.
  @inlinable package func addingSaturated(_ other: Self) -> Self {
    let sum = addingReportingOverflow(other)
    if !sum.overflow { return sum.partialValue }
    return other < 0 ? .min : .max
  }

  /// The difference, limited in the same way.
  @inlinable package func subtractingSaturated(_ other: Self) -> Self {
    let difference = subtractingReportingOverflow(other)
    if !difference.overflow { return difference.partialValue }
    return other < 0 ? .max : .min
  }

  /// How many pieces of a given size are needed for this number of bytes; 0 for none.
  @inlinable package func pieces(of size: Self) -> Self { self <= 0 ? 0 : (self - 1) / size + 1 }
}

extension Int64 {
  /// The rounded number, limited to the smallest or largest value; 0 for NaN.
  package init(saturating number: Double) {
    // A Double holds -2^63 and 2^63 exactly, but not the largest Int64.
    if number.isNaN {
      self = 0
    } else if number >= 0x1p63 {
      self = .max
    } else if number <= -0x1p63 {
      self = .min
    } else {
      self = Int64(number.rounded())
    }
  }
}
