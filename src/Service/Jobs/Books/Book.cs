namespace Chatterbox.Service.Jobs.Books;

/// <summary>A text with its chapters, from whatever file it came.</summary>
/// <param name="Title">Its title; null where it says none.</param>
/// <param name="Chapters">Its chapters, in order.</param>
internal sealed record Book(string? Title, IReadOnlyList<BookChapter> Chapters);

/// <summary>A chapter.</summary>
/// <param name="Title">Its title; null where it has none.</param>
/// <param name="Blocks">Its headings and paragraphs, in order.</param>
internal sealed record BookChapter(string? Title, IReadOnlyList<BookBlock> Blocks);

/// <summary>A heading or a paragraph.</summary>
/// <param name="Text">Its text, without markup.</param>
/// <param name="IsHeading">Whether it is a heading.</param>
internal sealed record BookBlock(string Text, bool IsHeading = false);

/// <summary>How much a book may hold.</summary>
/// <param name="TextBytes">Most bytes of its text in UTF-8.</param>
/// <param name="UnpackedBytes">Most bytes that are unpacked to read it.</param>
internal sealed record BookLimits(long TextBytes, long UnpackedBytes);
