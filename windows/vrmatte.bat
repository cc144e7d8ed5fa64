@echo off
rem vrmatte with the Python of this folder. Without arguments: a window to type commands in.
setlocal EnableExtensions DisableDelayedExpansion
for %%R in ("%~dp0..") do set "ROOT=%%~fR"
set "VRMATTE_CACHE_DIR=%ROOT%\.uv\weights"
if not exist "%ROOT%\.venv\Scripts\python.exe" goto missing
if "%~1"=="" goto window
"%ROOT%\.venv\Scripts\python.exe" -m vrmatte %*
exit /b %ERRORLEVEL%

:window
set "PATH=%ROOT%\.venv\Scripts;%PATH%"
cd /d "%USERPROFILE%"
cmd /k "vrmatte --help"
exit /b

:missing
echo vrmatte isn't installed here yet: run install.bat first.
if not defined VRMATTE_NO_PAUSE pause
exit /b 1
