/// Detects a listing whose pages lead in a circle.
///
/// Brent's algorithm ("An improved Monte Carlo factorization algorithm", 1980): one earlier page is kept and
/// replaced at distances that double. So a circle of any length is found within three rounds, and the memory
/// does not grow with the listing.
package struct PageTrail: Sendable {
  private var kept: String?
  private var steps = 0
  private var distance = 1

  package init() {}

  /// Whether the listing has already been at this token or marker. Called once for each page.
  package mutating func hasCome(to token: String) -> Bool {
    // Tokens are opaque, so two Unicode spellings of one text are different tokens.
    if let kept, kept.utf8.elementsEqual(token.utf8) { return true }
    steps += 1
    if steps == distance {
      kept = token
      steps = 0
      distance &*= 2
    }
    return false
  }

  /// Moves on to the next page of a listing of objects.
  ///
  /// - Throws: `S3Error` if the listing has already been there.
  package mutating func follow(_ token: String, of bucket: String) throws {
    guard hasCome(to: token) else { return }
    throw S3Error(
      operation: ListObjectsV2.name, bucket: bucket, key: nil, status: 200, code: "BrokenListing",
      message: "the server leads from page to page in a circle; it lists no further page")
  }
}
