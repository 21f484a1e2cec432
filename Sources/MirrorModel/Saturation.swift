extension FixedWidthInteger {
  /// The sum, held at the smallest or largest value. For sizes and instants that are anybody's words (a listing, a stamp of a sparse
  /// file, a line of a log): a number that no file has must not end the process.
  package func addingSaturated(_ other: Self) -> Self {
    let sum = addingReportingOverflow(other)
    if !sum.overflow { return sum.partialValue }
    return other < 0 ? .min : .max
  }

  /// The difference, held in the same way.
  package func subtractingSaturated(_ other: Self) -> Self {
    let difference = subtractingReportingOverflow(other)
    if !difference.overflow { return difference.partialValue }
    return other < 0 ? .max : .min
  }

  /// How many pieces of a size hold so many; 0 for none.
  package func pieces(of size: Self) -> Self { self <= 0 ? 0 : (self - 1) / size + 1 }
}

extension Int64 {
  /// Rounded, and held at the smallest or largest value; 0 for what is no number.
  package init(saturating number: Double) {
    // -2^63 and 2^63, which a Double holds exactly; the largest Int64 itself it does not.
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
