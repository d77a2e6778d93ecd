using System.Text.Json;
using Chatterbox.Service.Commands;
using Chatterbox.Service.Hosting;

namespace Chatterbox.Service.Tests;

/// <summary>Every setting is documented, and as it is.</summary>
public sealed class SettingsCatalogTests
{
    private static string Root { get; } = Path.GetFullPath(Path.Combine(TestService.Fixtures, "..", ".."));

    [Fact]
    public async Task The_page_of_documentation_is_what_the_command_prints()
    {
        var page = Path.Combine(Root, "docs", "configuration.md");
        Assert.True(
            await File.ReadAllTextAsync(page) == SettingsCommand.Page(),
            "docs/configuration.md is out of date: dotnet run -c Release --project src/Service -- settings > docs/configuration.md"
        );
    }

    [Fact]
    public void Every_setting_has_a_description_and_a_range()
    {
        Assert.All(SettingsCatalog.All, setting => Assert.True(setting.Describe().Length > 10 && setting.Range.Length > 0, setting.Key));
        Assert.All(SettingsCatalog.Sections.Skip(1), section => Assert.True(section.Describe().Length > 10, section.Name));
    }

    [Fact]
    public async Task The_file_of_settings_has_every_setting_at_its_default()
    {
        using var file = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(Root, "src", "Service", "appsettings.json")));
        foreach (var setting in SettingsCatalog.Sections.Skip(1).SelectMany(section => section.Settings))
        {
            var (section, name) = setting.Key.Split(':') is [var before, var after]
                ? (before, after)
                : throw new InvalidOperationException(setting.Key);
            Assert.True(file.RootElement.GetProperty(section).TryGetProperty(name, out var value), setting.Key);
            if (setting.Member is null)
            {
                Assert.Equal(setting.Default, value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText());
            }
        }
    }
}
