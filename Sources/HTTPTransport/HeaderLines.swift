import CCurl

/// A request's header lines in the form that libcurl reads: a list whose nodes and texts are in two blocks of
/// memory. The blocks are reused for the next request.
///
/// curl_slist_append(3) would make two allocations for each line, which is noticeable with thousands of small
/// objects a second. libcurl reads the list during the transfer and frees nothing of it
/// (CURLOPT_HTTPHEADER(3)).
final class HeaderLines {
  // SAFETY: only this object allocates and frees both blocks. The nodes point into `text`, and `first` points
  // to the nodes. A caller that gives `first` to libcurl removes it from libcurl before the next `set` and
  // before this object is freed.
  private var nodes = UnsafeMutableBufferPointer<curl_slist>.allocate(capacity: 16)
  private var text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 2 << 10)
  private var lineCount = 0
  private var textCount = 0

  deinit {
    nodes.deallocate()
    text.deallocate()
  }

  /// The head of the list; nil if there is no line.
  var first: UnsafeRawPointer? { lineCount == 0 ? nil : UnsafeRawPointer(nodes.baseAddress) }

  /// Replaces the lines.
  ///
  /// - Parameters:
  ///   - fields: sent unchanged; none may hold a line break or a NUL.
  ///   - absent: names of headers that libcurl must not add by itself.
  func set(_ fields: [HTTPHeaders.Field], absent: [String]) {
    // A line has at most two bytes between name and value, and a NUL.
    let bytes =
      fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 3 }
      + absent.reduce(0) { $0 + $1.utf8.count + 3 }
    reserve(lines: fields.count + absent.count, bytes: bytes)
    for field in fields {
      // CURLOPT_HTTPHEADER(3): "name:" would remove a header; "name;" sends it empty.
      appendLine(field.name, field.value.isEmpty ? ";" : ": ", field.value)
    }
    for name in absent { appendLine(name, ":", "") }
  }

  /// Removes the lines and makes room for new ones.
  private func reserve(lines: Int, bytes: Int) {
    (lineCount, textCount) = (0, 0)
    if lines > nodes.count {
      nodes.deallocate()
      nodes = .allocate(capacity: lines)
    }
    if bytes > text.count {
      text.deallocate()
      text = .allocate(capacity: bytes)
    }
  }

  private func appendLine(_ name: String, _ separator: String, _ value: String) {
    let start = textCount
    append(name)
    append(separator)
    append(value)
    text[textCount] = 0
    textCount += 1
    // SAFETY: `reserve` made room for every line, so neither block moves before the next `set`.
    nodes.initializeElement(
      at: lineCount, to: curl_slist(data: text.baseAddress.map { $0 + start }, next: nil))
    if lineCount > 0 { nodes[lineCount - 1].next = nodes.baseAddress.map { $0 + lineCount } }
    lineCount += 1
  }

  private func append(_ piece: String) {
    var piece = piece
    // SAFETY: the bytes are read only during the call, and `reserve` made room for them.
    piece.withUTF8 { bytes in
      UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(text)[textCount...])
        .copyMemory(from: UnsafeRawBufferPointer(bytes))
      textCount += bytes.count
    }
  }
}
