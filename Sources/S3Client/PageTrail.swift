/// Finds out when a listing goes round in a circle, which a server's pages may do for ever.
///
/// Brent's algorithm ("An improved Monte Carlo factorization algorithm", 1980): one earlier page is kept in mind and replaced at
/// distances that double, so a circle of any length is found after three rounds of it at the most, and nothing grows with the listing.
package struct PageTrail: Sendable {
  private var kept: String?
  private var steps = 0
  private var distance = 1

  package init() {}

  /// Whether the listing has been at this token or marker before. Asked once a page.
  package mutating func hasCome(to token: String) -> Bool {
    // Tokens are opaque: two spellings of one text are two tokens.
    if let kept, kept.utf8.elementsEqual(token.utf8) { return true }
    steps += 1
    if steps == distance {
      kept = token
      steps = 0
      distance &*= 2
    }
    return false
  }

  /// Goes on to the next page of a listing of objects.
  ///
  /// - Throws: `S3Error` when the listing has been there.
  package mutating func follow(_ token: String, of bucket: String) throws {
    guard hasCome(to: token) else { return }
    throw S3Error(
      operation: ListObjectsV2.name, bucket: bucket, key: nil, status: 200, code: "BrokenListing",
      message: "the server leads from page to page in a circle; it lists no further page")
  }
}
